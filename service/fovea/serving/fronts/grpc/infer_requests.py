"""ModelInferRequest bytes to an `InferRequest`.

A client's requests differ in their data, and maybe in their ids, and hardly ever in the rest, which is their header:
headers are kept by their bytes, and one that is known is not parsed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.grpc.header_bytes import header_bytes
from fovea.serving.fronts.grpc.parsing import parse
from fovea.serving.fronts.grpc.plain_parameters import plain
from fovea.serving.fronts.grpc.typed_contents import BothForms, TypedContents, has_contents
from fovea.serving.requests.header_bound import LEAST_BOUND, require_bounded
from fovea.serving.requests.infer_request import InferRequest, InputTensor, RequestedOutput, RequestHeader, Values
from fovea.serving.shared_memory.places import is_placed

_HEADERS_KEPT = 4096
_KEPT_BYTES = 16 << 20
"""Most bytes of all headers kept. Those of a model of 2,000 inputs have 100 KB, and take 10 ms to check."""


_MOST_HEADER = 8 * LEAST_BOUND
"""Of a request whose id is looked for: one that has more beside its data counts as having none."""


class RequestReader:
    """Reads the messages of one server; for any thread. `most_header` tells what one may have beside its data."""

    def __init__(self, most_header: Callable[[], int]) -> None:
        self._most_header = most_header
        self._headers: dict[bytes, RequestHeader] = {}
        self._kept_bytes = 0

    def __call__(self, data: bytes) -> InferRequest:
        """The request; InvalidRequest where the bytes are none, or have too much beside the tensors' data."""
        size = 0
        if len(data) > LEAST_BOUND:
            most = self._most_header()
            size = header_bytes(data, most)
            require_bounded(size, most)
        request = self._parsed(data)
        request.bytes, request.header_bytes = len(data), size
        return request

    def _parsed(self, data: bytes) -> InferRequest:
        message = parse("ModelInferRequest", data)
        raw = list(message.raw_input_contents)
        if not raw and not all(is_placed(tensor.parameters) for tensor in message.inputs):
            return _with_values(message, [])
        request_id = message.id
        message.ClearField("raw_input_contents")
        message.ClearField("id")
        key = message.SerializeToString()
        header = self._headers.get(key)
        if header is None:
            if any(map(has_contents, message.inputs)):
                message.id = request_id
                return _with_values(message, raw)
            header = _header(message)
            self._keep(key, header)
        return InferRequest(header, raw, request_id)

    def _keep(self, key: bytes, header: RequestHeader) -> None:
        if len(self._headers) >= _HEADERS_KEPT or self._kept_bytes + len(key) > _KEPT_BYTES:
            self._headers, self._kept_bytes = {}, 0
        self._headers[key] = header
        self._kept_bytes += len(key)


def _header(message: Any) -> RequestHeader:
    inputs = [
        InputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), plain(tensor.parameters))
        for tensor in message.inputs
    ]
    outputs = [RequestedOutput(output.name, plain(output.parameters)) for output in message.outputs]
    return RequestHeader(message.model_name, message.model_version, inputs, outputs, plain(message.parameters))


def _with_values(message: Any, raw: list[bytes]) -> InferRequest:
    """A request of which inputs have typed contents, or nothing."""
    data: list[bytes | Values | None]
    if raw:
        data = list(raw)
        for index, tensor in enumerate(message.inputs[: len(raw)]):
            if has_contents(tensor):
                data[index] = BothForms()
    else:
        data = [
            TypedContents(tensor.contents) if tensor.HasField("contents") else None
            for tensor in message.inputs
            if has_contents(tensor) or not is_placed(tensor.parameters)
        ]
    return InferRequest(_header(message), data, message.id, has_values=True)


def id_of(data: bytes) -> str:
    """The id in the bytes of a request; "" where it has none, or where it cannot be had."""
    if len(data) > LEAST_BOUND and header_bytes(data, _MOST_HEADER) > _MOST_HEADER:
        return ""
    try:
        return str(parse("ModelInferRequest", data).id)
    except InvalidRequest:
        return ""
