"""A small blocking client of the Open Inference Protocol: numpy arrays in, numpy arrays out.

The command line is built on it. Any other client of the protocol works as well; this one needs no more than gRPC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from fovea import wire
from fovea.contract.errors import (
    Cancelled,
    DeadlineExceeded,
    ExecutionFailed,
    FoveaError,
    InvalidRequest,
    NotFound,
    Unavailable,
    Unsupported,
)

DEFAULT_ADDRESS = "127.0.0.1:8001"
MAX_MESSAGE_BYTES = 2**31 - 1

DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""Datatypes with a fixed width -> numpy's little-endian name. BYTES is not for this client."""

ERRORS: dict[grpc.StatusCode, type[FoveaError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INTERNAL: ExecutionFailed,
}
"""What a status means here; every other one is a plain FoveaError."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the server describes it; -1 is an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What the server tells about a model. `properties` are texts; `json` reads the structured ones."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    properties: Mapping[str, str]

    def json(self, name: str) -> Any:
        """The value of a JSON property, None where it is missing or empty; FoveaError where it is no JSON."""
        try:
            return json.loads(self.properties.get(name) or "null")
        except json.JSONDecodeError as error:
            raise FoveaError(f"the server's property {name!r} of model {self.name} is no JSON") from error


@dataclass(frozen=True)
class ModelState:
    """One version in the server's repository index."""

    name: str
    version: str
    state: str
    reason: str


class Client:
    """A channel to one server. Every method blocks, for at most `timeout_s`, and raises a FoveaError."""

    def __init__(self, address: str = DEFAULT_ADDRESS, timeout_s: float = 30.0) -> None:
        limits = [(f"grpc.max_{way}_message_length", MAX_MESSAGE_BYTES) for way in ("send", "receive")]
        self._address = address
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()

    def healthy(self, service: str = "") -> bool:
        """Whether the server, or one model by its name, answers that it is serving; False where nobody answers."""
        stub = health_pb2_grpc.HealthStub(self._channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            status = stub.Check(request, timeout=self._timeout_s).status
        except grpc.RpcError:
            return False
        return bool(status == health_pb2.HealthCheckResponse.SERVING)

    def models(self) -> list[ModelState]:
        """Every version in the server's repository, ready or not."""
        index = self._call("RepositoryIndex", wire.message("RepositoryIndexRequest")())
        return [ModelState(entry.name, entry.version, entry.state, entry.reason) for entry in index.models]

    def metadata(self, model: str, version: str = "") -> ModelInfo:
        """A model's tensors and properties; the version that the server chooses where none is given."""
        request = wire.message("ModelMetadataRequest")(name=model, version=version)
        answer = self._call("ModelMetadata", request)
        inputs, outputs = _tensors(answer.inputs), _tensors(answer.outputs)
        return ModelInfo(answer.name, tuple(answer.versions), inputs, outputs, dict(answer.properties))

    def infer(
        self, model: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = (), version: str = ""
    ) -> dict[str, NDArray[Any]]:
        """Run one request: input name -> array. All outputs, or those named, which may be attention maps."""
        answer = self._call("ModelInfer", encode(model, version, inputs, outputs))
        return decode(answer)

    def _call(self, method: str, request: Any) -> Any:
        answer = wire.message(f"{method}Response")
        call = self._channel.unary_unary(
            wire.path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return call(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: Any) -> FoveaError:
        kind = ERRORS.get(error.code(), FoveaError)
        if kind in (Unavailable, DeadlineExceeded):
            return kind(f"{self._address}: {error.details()}")
        return kind(error.details() or error.code().name)


def encode(model: str, version: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> Any:
    """A ModelInferRequest whose data travel raw; InvalidRequest for a dtype that has no datatype."""
    request = wire.message("ModelInferRequest")(model_name=model, model_version=version)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=_datatype(name, array), shape=array.shape)
        request.raw_input_contents.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    for name in outputs:
        request.outputs.add(name=name)
    return request


def decode(answer: Any) -> dict[str, NDArray[Any]]:
    """Output name -> array (read-only views of the answer's bytes); Unsupported for a BYTES output."""
    return {
        tensor.name: np.frombuffer(raw, _dtype(tensor)).reshape(tuple(tensor.shape))
        for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def _dtype(tensor: Any) -> np.dtype[Any]:
    if tensor.datatype not in DTYPES:
        raise Unsupported(f"output {tensor.name} is {tensor.datatype}, which this client does not read")
    return np.dtype(DTYPES[tensor.datatype])


def _datatype(name: str, array: NDArray[Any]) -> str:
    found = [datatype for datatype, text in DTYPES.items() if np.dtype(text) == array.dtype.newbyteorder("<")]
    if not found:
        raise InvalidRequest(f"input {name}: an array of {array.dtype} cannot be sent")
    return found[0]


def _tensors(tensors: Any) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)
