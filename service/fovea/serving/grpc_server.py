"""A gRPC server with all services registered: ModelInfer on one of two lanes, health and reflection beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any

# Without gRPC's event-engine listener the server answers half as much again. Read when grpc is first imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # a port that is taken is told by our own error, once

import grpc
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from fovea import wire
from fovea.contract.errors import Misconfigured
from fovea.serving import fast_lane, pooled_lane
from fovea.serving.servicer import Servicer

_HEALTH_SERVICE = "grpc.health.v1.Health"
_INFER = "ModelInfer"
_REFLECTION_STREAMS = 4
_LAST_WORD_S = 5.0


class _Reflector(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection that can't take every thread: each open stream holds one."""

    def __init__(self, names: tuple[str, ...], pool: Any) -> None:
        super().__init__(names, pool=pool)
        self._free = BoundedSemaphore(_REFLECTION_STREAMS)

    def ServerReflectionInfo(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        """The answers to one stream of questions."""
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_REFLECTION_STREAMS} reflection streams are open")
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            self._free.release()


@dataclass(frozen=True)
class GrpcSettings:
    """Where and how to listen."""

    host: str
    port: int
    max_message_bytes: int
    handler_threads: int
    fast_lane: bool


class GrpcServer:
    """Listens from `start` on; `port` is the one it got. Misconfigured where the port cannot be had."""

    def __init__(self, settings: GrpcSettings, servicer: Servicer) -> None:
        self._servicer = servicer
        self.slow_reason = fast_lane.obstacle() if settings.fast_lane else "it is switched off"
        """Why ModelInfer is an ordinary handler; None on the fast lane."""
        self._server = grpc.server(
            ThreadPoolExecutor(settings.handler_threads, "grpc-handler"), options=_options(settings.max_message_bytes)
        )
        self.health = health.HealthServicer(experimental_non_blocking=True)
        self._register(settings.handler_threads)
        self.port = self._listen(settings)

    def _register(self, threads: int) -> None:
        self._server.add_registered_method_handlers(wire.SERVICE, self._handlers(threads))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        names = (wire.SERVICE, _HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflector = _Reflector(names, pool=_reflection_pool())
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, self._server)
        self.set_serving({"": False, wire.SERVICE: False})

    def _handlers(self, threads: int) -> dict[str, grpc.RpcMethodHandler]:
        handlers = {name: _unary(name, answer) for name, answer in self._servicer.handlers().items()}
        handlers[_INFER] = grpc.unary_unary_rpc_method_handler(pooled_lane.handler(self._servicer.infer, threads))
        return handlers

    def _listen(self, settings: GrpcSettings) -> int:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            return int(self._server.add_insecure_port(f"{host}:{settings.port}"))
        except RuntimeError as error:
            raise Misconfigured(f"cannot listen on {host}:{settings.port} for gRPC: is the port taken?") from error

    def start(self) -> None:
        """Answer calls."""
        if self.slow_reason is None:
            fast_lane.start(self._server, wire.path(_INFER), self._servicer.infer)
        else:
            self._server.start()

    def set_serving(self, services: dict[str, bool]) -> None:
        """Tell the health service, per name."""
        status = health_pb2.HealthCheckResponse
        for name, serving in services.items():
            self.health.set(name, status.SERVING if serving else status.NOT_SERVING)

    def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those in flight `grace_s`, and return when all have ended."""
        self._server.stop(grace_s).wait(grace_s + _LAST_WORD_S)


def _unary(name: str, answer: Callable[[Any, grpc.ServicerContext], Any]) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=wire.message(f"{name}Request").FromString,
        response_serializer=wire.message(f"{name}Response").SerializeToString,
    )


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a coin toss per connection
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
    ]


def _reflection_pool() -> Any:
    """Our messages with those of health and reflection beside them."""
    pool = wire.POOL
    for module in (health_pb2, reflection_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    return pool
