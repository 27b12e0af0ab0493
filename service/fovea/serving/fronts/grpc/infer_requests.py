"""ModelInferRequest bytes to an `InferRequest`.

A client's requests differ in their data, and maybe in their ids, and hardly ever in the rest, which is their header:
headers are kept by their bytes, and one that is known is not parsed again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.grpc.header_bytes import header_bytes
from fovea.serving.fronts.grpc.kept_layouts import KeptLayouts
from fovea.serving.fronts.grpc.parsing import parse
from fovea.serving.fronts.grpc.plain_parameters import plain
from fovea.serving.fronts.grpc.request_fields import taken_apart
from fovea.serving.fronts.grpc.typed_contents import BothForms, TypedContents, has_contents
from fovea.serving.requests.header_bound import LEAST_BOUND, require_bounded
from fovea.serving.requests.infer_request import InferRequest, InputTensor, RequestedOutput, RequestHeader, Values
from fovea.serving.requests.kept import Kept
from fovea.serving.shared_memory.places import is_placed

_MOST_HEADER = 8 * LEAST_BOUND
"""Of a request whose id is looked for: one that has more beside its data counts as having none."""


class RequestReader:
    """Reads the messages of one server; for any thread. `most_header` tells what one may have beside its data."""

    def __init__(self, most_header: Callable[[], int]) -> None:
        self._most_header = most_header
        self._layouts = KeptLayouts()
        self._headers: Kept[bytes, RequestHeader] = Kept()
        self._beside_values: Kept[Any, RequestHeader] = Kept()
        """Of requests whose bytes are values for the most part."""

    def __call__(self, data: bytes) -> InferRequest:
        """The request; InvalidRequest where the bytes are none, or have too much beside the tensors' data."""
        return self._layouts.request(data) or self._looked_at(data)

    def _looked_at(self, data: bytes) -> InferRequest:
        size = 0
        if len(data) > LEAST_BOUND:
            most = self._most_header()
            size = header_bytes(data, most)
            require_bounded(size, most)
        fields = taken_apart(data)
        header = self._header_of(fields.header) if fields is not None and fields.raw else None
        request = self._layouts.keep(data, fields, header, size) if fields is not None and header is not None else None
        if request is None:
            request = self._parsed(data)
            request.bytes, request.header_bytes = len(data), size
        return request

    def _header_of(self, serialized: bytes) -> RequestHeader | None:
        """None for the parser to say what it is."""
        header = self._headers.get(serialized)
        if header is None:
            with suppress(InvalidRequest):
                header = self._new_header(serialized, parse("ModelInferRequest", serialized))
        return header

    def _parsed(self, data: bytes) -> InferRequest:
        message = parse("ModelInferRequest", data)
        raw, request_id = list(message.raw_input_contents), message.id
        message.ClearField("raw_input_contents")
        message.ClearField("id")
        if raw or all(is_placed(tensor.parameters) for tensor in message.inputs):
            key = message.SerializeToString()
            header = self._headers.get(key) or self._new_header(key, message)
            if header is not None:
                return InferRequest(header, raw, request_id)
        return InferRequest(self._header_beside_values(message), _values(message, raw), request_id, has_values=True)

    def _header_beside_values(self, message: Any) -> RequestHeader:
        key = _names_and_shapes(message)
        header = self._beside_values.get(key)
        if header is None:
            header = _header(message)
            if key is not None:
                self._beside_values.put(key, header, len(repr(key)))
        return header

    def _new_header(self, key: bytes, message: Any) -> RequestHeader | None:
        """Kept from now on; None where inputs bring their data with them."""
        if any(map(has_contents, message.inputs)):
            return None
        header = _header(message)
        self._headers.put(key, header, len(key))
        return header


def _header(message: Any) -> RequestHeader:
    inputs = [
        InputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), plain(tensor.parameters))
        for tensor in message.inputs
    ]
    outputs = [RequestedOutput(output.name, plain(output.parameters)) for output in message.outputs]
    return RequestHeader(message.model_name, message.model_version, inputs, outputs, plain(message.parameters))


def _names_and_shapes(message: Any) -> Any:
    """The same for requests of one header; None where there are parameters, which take longer to compare."""
    if message.parameters or any(one.parameters for one in (*message.inputs, *message.outputs)):
        return None
    inputs = [(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in message.inputs]
    outputs = [output.name for output in message.outputs]
    return (message.model_name, message.model_version, tuple(inputs), tuple(outputs))


def _values(message: Any, raw: list[bytes]) -> list[bytes | memoryview | Values | None]:
    """The data of inputs that have typed contents, or nothing."""
    if not raw:
        return [
            TypedContents(tensor.contents) if tensor.HasField("contents") else None
            for tensor in message.inputs
            if has_contents(tensor) or not is_placed(tensor.parameters)
        ]
    typed = [tensor for tensor in message.inputs if has_contents(tensor)]
    if not typed:
        return list(raw)
    bring = [tensor for tensor in message.inputs if has_contents(tensor) or not is_placed(tensor.parameters)]
    return [BothForms(message.model_name, typed[0].name)] * len(bring)


def id_of(data: bytes) -> str:
    """The id in the bytes of a request; "" where it has none, or where it cannot be had."""
    if len(data) > LEAST_BOUND and header_bytes(data, _MOST_HEADER) > _MOST_HEADER:
        return ""
    try:
        return str(parse("ModelInferRequest", data).id)
    except InvalidRequest:
        return ""
