"""gRPC's server reflection over our own messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import BoundedSemaphore
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from fovea import wire
from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.grpc.context_reads import ContextReads
from fovea.serving.fronts.grpc.parsing import parse_small
from fovea.serving.fronts.grpc.status import status_of

_STREAMS = 4
_RPC = "ServerReflectionInfo"


def add_reflection(services: Sequence[str], server: grpc.Server) -> ContextReads:
    """Have a server tell of these services, and of reflection itself; the reads of its streams."""
    reflector = _Reflector((*services, reflection.SERVICE_NAME), pool=_pool())
    handler = grpc.stream_stream_rpc_method_handler(
        reflector.ServerReflectionInfo,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(reflection.SERVICE_NAME, {_RPC: handler})
    return reflector.reads


class _Reflector(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection that can't take every thread: each open stream holds one."""

    def __init__(self, names: tuple[str, ...], pool: Any) -> None:
        super().__init__(names, pool=pool)
        self._free = BoundedSemaphore(_STREAMS)
        self.reads = ContextReads()

    def ServerReflectionInfo(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        """The answers to one stream of questions, given as bytes: to parse them is not the serving loop's work."""
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_STREAMS} reflection streams are open")
        try:
            yield from super().ServerReflectionInfo(self._questions(messages, context), context)
        finally:
            self._free.release()

    def _questions(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        while (data := self.reads.next(messages, context)) is not None:
            try:
                yield parse_small("ServerReflectionRequest", data, reflection_pb2.ServerReflectionRequest)
            except InvalidRequest as error:
                context.abort(*status_of(error))


def _pool() -> Any:
    """Our messages with those of health and reflection beside them."""
    pool = wire.POOL
    for module in (health_pb2, reflection_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    return pool
