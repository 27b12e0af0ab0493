"""The methods of both clients, each as a function that makes its call: what to send, where to, how to read the answer.

The clients only wait differently: `method_of` gives their methods the names, parameters and texts that stand here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import numpy as np
from grpc_health.v1 import health_pb2
from numpy.typing import ArrayLike, NDArray

from fovea import wire
from fovea.client import results
from fovea.client.array_bytes import datatype_of, to_raw
from fovea.client.results import Answer, ModelInfo, ModelState, ServerInfo, Statistics
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
    timeout_s: float | None = None
    """Longest wait for the answer, retries included; None: the client's own."""


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
    model: str,
    inputs: Mapping[str, ArrayLike],
    outputs: Sequence[str] = (),
    version: str = "",
    **options: Unpack[InferOptions],
) -> Call[Answer]:
    """Run one request: input name -> array. All outputs, or those named, which may be attention maps.

    InvalidRequest for an array that cannot be sent, and for `top` without an output's name.
    """
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
    call = _call("ModelInfer", request, lambda answer: results.read_answer(answer, classified))
    return replace(call, timeout_s=options.get("timeout_s"))


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
    """The server's name, version and extensions."""
    return _call("ServerMetadata", _request("ServerMetadata"), results.read_server)


def metadata(model: str, version: str = "") -> Call[ModelInfo]:
    """A model's tensors and properties; the version that the server chooses where none is given."""
    return _call("ModelMetadata", _request("ModelMetadata", name=model, version=version), results.read_model)


def models() -> Call[list[ModelState]]:
    """Every version in the server's repository, ready or not."""
    return _call("RepositoryIndex", _request("RepositoryIndex"), results.read_index)


def load(
    model: str,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    timeout_s: float | None = None,
) -> Call[None]:
    """Load or reload a model, back when it is ready; `config` is Triton's, files go by "<version>/<name>" or "<name>".

    It is sent once: a second one would load the model a second time.
    """
    request = _request("RepositoryModelLoad", model_name=model)
    if config is not None:
        request.parameters["config"].string_param = json.dumps(config)
    for path, content in (files or {}).items():
        request.parameters[f"file:{path}"].bytes_param = content
    return replace(_call("RepositoryModelLoad", request, lambda _: None), may_repeat=False, timeout_s=timeout_s)


def unload(model: str, timeout_s: float | None = None) -> Call[None]:
    """Unload a model, back when its last request is answered."""
    request = _request("RepositoryModelUnload", model_name=model)
    return replace(_call("RepositoryModelUnload", request, lambda _: None), may_repeat=False, timeout_s=timeout_s)


def statistics(model: str = "", version: str = "") -> Call[list[Statistics]]:
    """What every ready version has done, or those of one model, or one of them."""
    return _call("ModelStatistics", _request("ModelStatistics", name=model, version=version), results.read_statistics)


def ready(model: str = "", version: str = "") -> Call[bool]:
    """Whether the server, or a version of a model, takes requests."""
    rpc, fields = ("ModelReady", {"name": model, "version": version}) if model else ("ServerReady", {})
    return _call(rpc, _request(rpc, **fields), lambda answer: bool(answer.ready))


def check(service: str = "") -> Call[bool]:
    """Whether the server, or one model by its name, answers that it is serving.

    A FoveaError where there is no answer: NotFound where the server has no such model.
    """
    body = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return Call("/grpc.health.v1.Health/Check", body, _is_serving, may_repeat=False)


def _is_serving(body: bytes) -> bool:
    return bool(health_pb2.HealthCheckResponse.FromString(body).status == health_pb2.HealthCheckResponse.SERVING)


def _request(rpc: str, **fields: Any) -> Any:
    return wire.message(f"{rpc}Request")(**fields)


def _call(rpc: str, request: Any, read: Callable[[Any], T]) -> Call[T]:
    answer = wire.message(f"{rpc}Response")
    return Call(wire.path(rpc), request.SerializeToString(), lambda body: read(answer.FromString(body)))
