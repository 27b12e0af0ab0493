"""How much of a serialized request is no tensor's or file's data: looked at before it is parsed.

Millions of empty inputs, outputs or parameters fit into a message that may be sent, and each becomes an object, a
check, a word in an error text, while everybody waits. A message below the bound is not looked at: it has less.
"""

from __future__ import annotations

from collections.abc import Mapping

from fovea.contract.errors import InvalidRequest

MOST_HEADER_BYTES = 64 * 1024
"""A hundred inputs with their parameters have 10 KB; to find out takes 30 ms at worst."""

_INPUT, _RAW_DATA = 5 << 3 | 2, 7 << 3 | 2  # of ModelInferRequest: the tags of its fields
_TYPED_DATA = 5 << 3 | 2  # of an InferInputTensor
_PARAMETER, _VALUE, _FILE = 3 << 3 | 2, 2 << 3 | 2, 4 << 3 | 2  # of RepositoryModelLoadRequest and what is in it
_LONGEST_VARINT = 10
_FIXED_BYTES = {1: 8, 5: 4}
"""Wire type -> bytes of a value."""

_Parts = Mapping[int, "_Parts"]
"""Tags of the fields that are not all header -> the same of what is in them; empty: no header at all."""
_DATA: _Parts = {}
_PARTS_OF: Mapping[str, _Parts] = {
    "ModelInferRequest": {_RAW_DATA: _DATA, _INPUT: {_TYPED_DATA: _DATA}},
    "RepositoryModelLoadRequest": {_PARAMETER: {_VALUE: {_FILE: _DATA}}},
}
"""Message -> where its data are; every other is all header."""


def check_header_size(kind: str, data: bytes) -> None:
    """InvalidRequest for a request that has too much beside its data. What is no message is left to the parser."""
    if len(data) <= MOST_HEADER_BYTES:
        return
    parts = _PARTS_OF.get(kind)
    if parts is None or _header_bytes(data, 0, len(data), parts) > MOST_HEADER_BYTES:
        raise InvalidRequest(
            f"expected at most {MOST_HEADER_BYTES} bytes beside the tensors' data and files (names, shapes, "
            f"parameters, outputs) in a {kind}, received more"
        )


def _header_bytes(data: bytes, at: int, end: int, parts: _Parts) -> int:
    """Bytes of a message that are header; it is not looked at further where they are too many."""
    found = 0
    while at < end and found <= MOST_HEADER_BYTES:
        tag, start, stop = _field(data, at, end)
        if tag not in parts:
            found += stop - at
        elif parts[tag] is _DATA:
            found += start - at
        else:
            found += start - at + _header_bytes(data, start, stop, parts[tag])
        at = stop
    return found


def _field(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """A field's tag, and where its value begins and ends; one that cannot be told ends where the message does."""
    tag, start = _varint(data, at, end)
    kind = tag & 7
    if kind == 2:
        size, start = _varint(data, start, end)
        return tag, start, min(start + size, end)
    if kind == 0:
        return tag, start, _varint(data, start, end)[1]
    return tag, start, min(start + _FIXED_BYTES.get(kind, end), end)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    if at < end and data[at] < 0x80:  # nearly all are of one byte
        return data[at], at + 1
    number = 0
    for shift, byte in enumerate(data[at : min(at + _LONGEST_VARINT, end)]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    return number, end
