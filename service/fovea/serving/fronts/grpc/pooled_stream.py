"""A stream through an ordinary handler, all of it public gRPC, at two threads: gRPC's handler sends, another reads.

Streams are few, and have a pool of their own: those that are open and idle hold nobody up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc

from fovea.serving.fronts.grpc.deadlines import deadline_after
from fovea.serving.fronts.grpc.streams import DRAINING, Streams

log = logging.getLogger(__name__)

_SPARE_THREADS = 4
"""To refuse the streams beyond the limit."""


def stream_handler(streams: Streams) -> grpc.RpcMethodHandler:
    """What gRPC is to call; it holds threads of a pool of its own."""

    def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        return PooledStream(streams, messages, context).answers()

    pool = ThreadPoolExecutor(streams.limits.streams + _SPARE_THREADS, "grpc-stream")
    handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return grpc.stream_stream_rpc_method_handler(handle)


class PooledStream:
    """Its transport: what it is asked for goes to the threads through queues."""

    def __init__(self, streams: Streams, messages: Iterator[bytes], context: grpc.ServicerContext) -> None:
        self._streams, self._messages, self._context = streams, messages, context
        self._stream = streams.new(deadline_after(context.time_remaining()), self)
        self.metadata = context.invocation_metadata()
        self._receives: SimpleQueue[bool] = SimpleQueue()
        """True: read one more message; False: end."""
        self._sends: SimpleQueue[bytes | bool] = SimpleQueue()
        """Messages; at the end whether the client wanted it."""

    def receive(self) -> None:
        """Have the reader read one more message."""
        self._receives.put(True)

    def send(self, message: bytes) -> None:
        """Have the handler send a message."""
        self._sends.put(message)

    def end(self, *, all_read: bool) -> None:
        self._receives.put(False)
        self._sends.put(all_read)

    def answers(self) -> Iterator[bytes]:
        """What to send, until the stream ends."""
        refusal = self._streams.open(self._stream)
        if refusal is not None:
            self._context.abort(*refusal)
        if not self._context.add_callback(self._left):
            self._left()
        threading.Thread(target=self._read, daemon=True, name="stream-reader").start()
        self._stream.begin()
        while isinstance(message := self._sends.get(), bytes):
            yield message
            self._stream.sent()  # gRPC asks on once it has been sent
        if not message:
            self._context.abort(*DRAINING)

    def _left(self) -> None:
        self._streams.close(self._stream)
        self.end(all_read=True)

    def _read(self) -> None:
        data: bytes | None = b""
        while data is not None and self._receives.get():
            data = self._next()
            self._stream.received(data)

    def _next(self) -> bytes | None:
        try:
            return next(self._messages, None)
        except grpc.RpcError:  # the client has cancelled
            log.debug("a stream was cancelled")
        except Exception:
            log.exception("a stream cannot be read on")
        return None
