"""From an HTTP body to an `InferRequest`: JSON, and the binary data that may follow it.

As over gRPC, a client's requests differ in their data, and hardly ever in the rest: what was read of that is kept.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import orjson

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.json_text import parse_object, take
from fovea.serving.fronts.rest.json_values import JsonValues
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.request_json import HeaderRead, read_header
from fovea.serving.requests.infer_request import InferRequest, Values
from fovea.serving.requests.kept import Kept
from fovea.serving.requests.tensor_data import LARGE_BYTES

_NONE: Any = object()
"""In place of JSON data, where an input has none."""
_LONGEST_KEPT = 64 * 1024
_INFINITE = b"null"
"""As which orjson writes what `1e400` is read as: such JSON would be taken for another."""

Key = tuple[str, str, bytes]


class RequestBodies:
    """Reads the bodies of one server. Any thread may use it."""

    def __init__(self, limits: RestLimits) -> None:
        self._limits = limits
        self._read: Kept[Key, HeaderRead] = Kept()
        """By model, version, and the JSON without id and data; of requests with binary data alone, as it came, too."""

    def request(
        self, model: str, version: str, body: bytes, json_bytes: int | None
    ) -> tuple[InferRequest, AnswerStyle]:
        """From a body whose first `json_bytes` are JSON (None: all of it); and in what style it is to be answered."""
        text, binary = _split(body, json_bytes)
        if binary:
            read = self._read.get((model, version, text))
            if read is not None:
                return _request(read, "", repeat(_NONE), binary, len(body)), read.style
        facts = parse_object(text)
        request_id, values = take(facts, "id", str), _values_out_of(facts)
        facts.pop("id", None)
        read = self._read_of(model, version, facts)
        if binary and not request_id and all(one is _NONE for one in values):
            self._keep((model, version, text), read)
        return _request(read, request_id, values, binary, len(body)), read.style

    def _read_of(self, model: str, version: str, facts: dict[str, Any]) -> HeaderRead:
        try:
            written = orjson.dumps(facts)
        except TypeError:  # an integer beyond 64 bits, say
            written = _INFINITE
        if _INFINITE in written:
            return read_header(model, version, facts, self._limits)
        key = (model, version, b"\0" + written)  # no JSON begins like that
        read = self._read.get(key)
        if read is None:
            read = read_header(model, version, facts, self._limits)
            self._keep(key, read)
        return read

    def _keep(self, key: Key, read: HeaderRead) -> None:
        if len(key[-1]) <= _LONGEST_KEPT:
            self._read.put(key, read, len(key[-1]))


def _split(body: bytes, json_bytes: int | None) -> tuple[bytes, memoryview]:
    if json_bytes is None:
        return body, memoryview(b"")
    if json_bytes > len(body):
        raise InvalidRequest(f"expected {json_bytes} bytes of JSON, received a body of {len(body)} bytes")
    return body[:json_bytes], memoryview(body)[json_bytes:]


def _values_out_of(facts: dict[str, Any]) -> list[Any]:
    """Take the inputs' data out, and leave a mark in its place."""
    values = []
    listed = facts.get("inputs")
    for one in listed if type(listed) is list else ():
        values.append(one.get("data", _NONE) if type(one) is dict else _NONE)
        if values[-1] is not _NONE:
            one["data"] = True
    return values


def _request(read: HeaderRead, request_id: str, values: Any, binary: memoryview, size: int) -> InferRequest:
    data: list[bytes | memoryview | Values | None] = []
    at, has_values = 0, False
    for tensor, one, value, placed in zip(read.header.inputs, read.sizes, values, read.placed, strict=False):
        if one is not None:
            if one > len(binary) - at:
                words = f"expected {one} bytes of binary data after the JSON, received {len(binary) - at}"
                raise InvalidRequest(f"input '{tensor.name}': {words}")
            part = binary[at : at + one]
            data.append(part if one >= LARGE_BYTES else bytes(part))
            at += one
        elif value is not _NONE or not placed:
            data.append(None if value is _NONE else JsonValues(value))
            has_values = True
    if at != len(binary):
        raise InvalidRequest(f"expected {at} bytes of binary data after the JSON, received {len(binary)}")
    return InferRequest(
        read.header, data, request_id, None, size, read.header_bytes, has_values, admits=read.style.admit
    )
