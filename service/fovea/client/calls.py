"""Every call that a client can make, as a value: what to send, where to, and how to read what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np
from grpc_health.v1 import health_pb2
from numpy.typing import ArrayLike, NDArray

from fovea import wire
from fovea.client import answers
from fovea.client.answers import Answer, ModelInfo, ModelState, ServerInfo, Statistics
from fovea.client.tensors import datatype_of, to_raw
from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import MAP_PREFIX

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call, ready to be sent as often as need be."""

    path: str
    body: bytes
    read: Callable[[bytes], T]
    """From the answer's bytes to what the caller gets."""
    may_repeat: bool = True
    """Whether another attempt may follow one that failed, perhaps after the server had done it."""


class InferOptions(TypedDict, total=False):
    """What a request may say beyond its tensors."""

    top: int
    """Ask for the best `top` classes of each output that is named, in place of its numbers."""
    priority: int
    """1 is the highest; 0, the default, leaves it to the model."""
    queue_timeout_s: float
    """Longest wait for a batch."""
    timeout_s: float
    """Longest wait for the answer, retries included; the server knows it as the call's deadline."""
    request_id: str


def infer(
    model: str, inputs: Mapping[str, ArrayLike], outputs: Sequence[str], version: str, options: InferOptions
) -> Call[Answer]:
    """ModelInfer. InvalidRequest for an array that cannot be sent, and for `top` without an output's name."""
    top = options.get("top", 0)
    classified = [name for name in outputs if top and not name.startswith(MAP_PREFIX)]
    if top and not classified:
        raise InvalidRequest("top needs the name of the output whose classes are wanted")
    request = _infer_request(model, inputs, version)
    for name in outputs:
        request.outputs.add(name=name)
        if name in classified:
            request.outputs[-1].parameters["classification"].int64_param = top
    _set_options(request, options)
    return _call("ModelInfer", request, lambda answer: answers.read_answer(answer, classified))


def _infer_request(model: str, inputs: Mapping[str, ArrayLike], version: str) -> Any:
    request = wire.message("ModelInferRequest")(model_name=model, model_version=version)
    for name, values in inputs.items():
        array: NDArray[Any] = np.asarray(values)
        request.inputs.add(name=name, datatype=datatype_of(name, array), shape=array.shape)
        request.raw_input_contents.append(to_raw(name, array))
    return request


def _set_options(request: Any, options: InferOptions) -> None:
    request.id = options.get("request_id", "")
    if priority := options.get("priority", 0):
        request.parameters["priority"].int64_param = priority
    if queue_timeout_s := options.get("queue_timeout_s", 0.0):
        request.parameters["timeout"].int64_param = max(round(queue_timeout_s * 1e6), 1)


def server() -> Call[ServerInfo]:
    """ServerMetadata."""
    return _call("ServerMetadata", _request("ServerMetadata"), answers.read_server)


def metadata(model: str, version: str) -> Call[ModelInfo]:
    """ModelMetadata."""
    return _call("ModelMetadata", _request("ModelMetadata", name=model, version=version), answers.read_model)


def models() -> Call[list[ModelState]]:
    """RepositoryIndex."""
    return _call("RepositoryIndex", _request("RepositoryIndex"), answers.read_index)


def load(model: str, config: Mapping[str, Any] | None, files: Mapping[str, bytes]) -> Call[None]:
    """RepositoryModelLoad; sent once, since a second one would load the model a second time."""
    request = _request("RepositoryModelLoad", model_name=model)
    if config is not None:
        request.parameters["config"].string_param = json.dumps(config)
    for path, content in files.items():
        request.parameters[f"file:{path}"].bytes_param = content
    return replace(_call("RepositoryModelLoad", request, lambda _: None), may_repeat=False)


def unload(model: str) -> Call[None]:
    """RepositoryModelUnload."""
    request = _request("RepositoryModelUnload", model_name=model)
    return replace(_call("RepositoryModelUnload", request, lambda _: None), may_repeat=False)


def statistics(model: str, version: str) -> Call[list[Statistics]]:
    """ModelStatistics."""
    return _call("ModelStatistics", _request("ModelStatistics", name=model, version=version), answers.read_statistics)


def ready(model: str, version: str) -> Call[bool]:
    """ServerReady, or ModelReady where a model is named."""
    rpc, fields = ("ModelReady", {"name": model, "version": version}) if model else ("ServerReady", {})
    return _call(rpc, _request(rpc, **fields), lambda answer: bool(answer.ready))


def health(service: str) -> Call[bool]:
    """The gRPC health check of the server, or of one model by its name."""
    body = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return Call("/grpc.health.v1.Health/Check", body, _is_serving, may_repeat=False)


def _is_serving(body: bytes) -> bool:
    return bool(health_pb2.HealthCheckResponse.FromString(body).status == health_pb2.HealthCheckResponse.SERVING)


def _request(rpc: str, **fields: Any) -> Any:
    return wire.message(f"{rpc}Request")(**fields)


def _call(rpc: str, request: Any, read: Callable[[Any], T]) -> Call[T]:
    answer = wire.message(f"{rpc}Response")
    return Call(wire.path(rpc), request.SerializeToString(), lambda body: read(answer.FromString(body)))
