"""gRPC's server reflection over our own messages."""

from __future__ import annotations

from collections.abc import Sequence
from threading import BoundedSemaphore
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from fovea import wire

_STREAMS = 4


def add_reflection(services: Sequence[str], server: grpc.Server) -> None:
    """Have a server tell of these services, and of reflection itself."""
    reflector = _Reflector((*services, reflection.SERVICE_NAME), pool=_pool())
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, server)


class _Reflector(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection that can't take every thread: each open stream holds one."""

    def __init__(self, names: tuple[str, ...], pool: Any) -> None:
        super().__init__(names, pool=pool)
        self._free = BoundedSemaphore(_STREAMS)

    def ServerReflectionInfo(self, request_iterator: Any, context: grpc.ServicerContext) -> Any:
        """The answers to one stream of questions."""
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_STREAMS} reflection streams are open")
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            self._free.release()


def _pool() -> Any:
    """Our messages with those of health and reflection beside them."""
    pool = wire.POOL
    for module in (health_pb2, reflection_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    return pool
