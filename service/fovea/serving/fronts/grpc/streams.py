"""ModelStreamInfer: many requests and their answers on one call, for as long as the client likes.

Public gRPC on both lanes, at two threads a stream: gRPC's handler sends, another reads. Streams are few, and have
threads of their own: those that are open and idle hold nobody up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from fovea.contract.errors import Draining
from fovea.serving.deadlines import deadline_after
from fovea.serving.fronts.grpc.status import status_of
from fovea.serving.fronts.grpc.stream import Infer, Stream, StreamCall, StreamLimits

_SPARE_THREADS = 4
"""To refuse the streams beyond the limit."""
_DRAINING = status_of(Draining())


class Streams:
    """The open streams of a server."""

    def __init__(self, infer: Infer, limits: StreamLimits) -> None:
        self._infer, self._limits = infer, limits
        self._pool = ThreadPoolExecutor(limits.streams + _SPARE_THREADS, "grpc-stream")
        self._open: set[Stream] = set()
        self._lock = threading.Lock()
        self._draining = False

    def handler(self) -> grpc.RpcMethodHandler:
        """What gRPC is to call; it holds threads of a pool of its own."""

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._answers(messages, context)

        handle.experimental_thread_pool = self._pool  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(handle)

    def unanswered(self) -> list[StreamCall]:
        """The requests that have been read and whose answers have not been sent."""
        return [call for stream in self._open.copy() for call in stream.calls.copy()]

    def drain(self) -> None:
        """End every stream once what it has in flight is answered."""
        with self._lock:
            self._draining = True
            streams = list(self._open)
        for stream in streams:
            stream.drain()

    def _answers(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = Stream(self._infer, deadline_after(context.time_remaining()), self._limits)
        self._admit(stream, context)
        threading.Thread(target=stream.read, args=(messages,), daemon=True, name="stream-reader").start()
        yield from stream.answers()
        if stream.draining and not stream.all_read:
            context.abort(*_DRAINING)

    def _admit(self, stream: Stream, context: grpc.ServicerContext) -> None:
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                self._open.add(stream)
        if refusal is not None:
            context.abort(*refusal)
        if not context.add_callback(lambda: self._ended(stream)):
            self._ended(stream)

    def _refusal(self) -> tuple[grpc.StatusCode, str] | None:
        if self._draining:
            return _DRAINING
        if len(self._open) >= self._limits.streams:
            text = f"{len(self._open)} streams are open, the limit is {self._limits.streams} (--max-infer-streams)"
            return grpc.StatusCode.RESOURCE_EXHAUSTED, text
        return None

    def _ended(self, stream: Stream) -> None:
        with self._lock:
            self._open.discard(stream)
        stream.end()
