"""How much of a serialized request is no tensor's or file's data: looked at before it is parsed.

A message below the bound is not looked at: it has less. Why there is a bound, `fovea.serving.requests.header_bound`
tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from fovea.contract.errors import InvalidRequest
from fovea.serving.requests.header_bound import LEAST_BOUND, LEAST_FIELD

_INPUT, _RAW_DATA = 5 << 3 | 2, 7 << 3 | 2  # of ModelInferRequest: the tags of its fields
_TYPED_DATA = 5 << 3 | 2  # of an InferInputTensor
_PARAMETER, _VALUE, _TEXT, _FILE = 3 << 3 | 2, 2 << 3 | 2, 3 << 3 | 2, 4 << 3 | 2  # of RepositoryModelLoadRequest
_LONGEST_VARINT = 10
_FIXED_BYTES = {1: 8, 5: 4}
"""Wire type -> bytes of a value."""

_Parts = Mapping[int, "_Parts"]
"""Tags of the fields that are not all header -> the same of what is in them; empty: no header at all."""
_DATA: _Parts = {}
_REQUEST: _Parts = {_RAW_DATA: _DATA, _INPUT: {_TYPED_DATA: _DATA}}
_WITH_FILES: Mapping[str, _Parts] = {"RepositoryModelLoadRequest": {_PARAMETER: {_VALUE: {_TEXT: _DATA, _FILE: _DATA}}}}
"""Other requests that have data; the rest is all header."""


def header_bytes(data: bytes, most: int) -> int:
    """Bytes of a request beside its data; not looked at further than `most`.

    What is no message is left to the parser.
    """
    return _bytes(data, 0, len(data), _REQUEST, most)


def require_small(kind: str, data: bytes) -> None:
    """InvalidRequest for a request of another kind than ModelInfer's that has too much beside files."""
    if len(data) <= LEAST_BOUND:
        return
    parts = _WITH_FILES.get(kind)
    if parts is None or _bytes(data, 0, len(data), parts, LEAST_BOUND) > LEAST_BOUND:
        beside = " beside files and configuration" if parts else ""
        raise InvalidRequest(f"expected a {kind} of at most {LEAST_BOUND} bytes{beside}, received {len(data)}")


def _bytes(data: bytes, at: int, end: int, parts: _Parts, most: int) -> int:
    found = 0
    while at < end and found <= most:
        tag, start, stop = _field(data, at, end)
        if tag not in parts:
            found += max(stop - at, LEAST_FIELD)
        else:
            found += max(start - at, LEAST_FIELD)
            if parts[tag] is not _DATA:
                found += _bytes(data, start, stop, parts[tag], most - found)
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
