"""Calls answered through ordinary handlers, all of it public gRPC: what runs where the fast lane cannot.

A call holds a thread from its first moment on, also while its message is on its way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from fovea.serving.fronts.grpc.deadlines import deadline_after
from fovea.serving.fronts.grpc.handler_pool import HandlerPool

Accept = Callable[[Any, bytes], None]


class PooledLane:
    """Makes handlers of bytes, and knows the calls that are in them or on their way back."""

    def __init__(self) -> None:
        self._calls: set[PooledCall] = set()

    def handler(self, accept: Accept, pool: HandlerPool) -> grpc.RpcMethodHandler:
        """For calls that are answered once; it waits for the answer on a thread of the pool."""

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            data = pool.reads.message(messages, context)
            call = PooledCall(context, self._calls)
            accept(call, data)
            return call.wait()

        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return grpc.stream_unary_rpc_method_handler(handle)

    def watch_handler(self, accept: Accept, pool: HandlerPool) -> grpc.RpcMethodHandler:
        """For calls that are told something again and again; each holds a thread of the pool."""

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            data = pool.reads.message(messages, context)
            call = PooledWatch(context)
            accept(call, data)
            yield from call.messages()

        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(handle)

    def unanswered(self) -> list[PooledCall]:
        """The calls whose request has been taken in and whose answer has not been sent."""
        return list(self._calls)

    def unread(self) -> list[Any]:
        """None: the pools know them."""
        return []


class PooledCall:
    """One call whose handler thread waits for the answer."""

    rpc = "ModelInfer"
    alone = False

    def __init__(self, context: grpc.ServicerContext, open_calls: set[PooledCall]) -> None:
        self.deadline_s = deadline_after(context.time_remaining())
        self.gone = False
        self._context = context
        self._answered = threading.Event()
        self._body: bytes | None = None
        self._error: tuple[grpc.StatusCode, str] | None = None
        self._open_calls = open_calls
        open_calls.add(self)
        if not context.add_callback(self._ended):
            self._ended()

    @property
    def over(self) -> bool:
        """True once its answer has been sent, or its caller is gone."""
        return self not in self._open_calls

    @property
    def metadata(self) -> Iterable[tuple[str, Any]]:
        """What the caller sent beside the message."""
        metadata: Iterable[tuple[str, Any]] = self._context.invocation_metadata()
        return metadata

    def watch(self) -> None:
        """Nothing: `gone` is up to date without it."""

    def finish(self, body: bytes) -> None:
        """Hand the answer to the waiting thread."""
        self._body = body
        self._answered.set()

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Hand an error to the waiting thread."""
        if self._body is None:
            self._error = (code, text)
        self._answered.set()

    def wait(self) -> bytes:
        """The answer's bytes, or the call aborted with its error."""
        self._answered.wait()
        if self._error is not None:
            self._context.abort(*self._error)
        return self._body or b""

    def _ended(self) -> None:
        self.gone = True
        self._open_calls.discard(self)
        self._answered.set()


class PooledWatch:
    """One call whose handler thread waits for what it is to be told: the latest, where it is slow."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.deadline_s = None
        self.gone = False
        self._context = context
        self._changed = threading.Condition()
        self._untold: bytes | None = None
        self._error: tuple[grpc.StatusCode, str] | None = None
        if not context.add_callback(self._ended):
            self._ended()

    def watch(self) -> None:
        """Nothing: `gone` is up to date without it."""

    def tell(self, body: bytes) -> None:
        """Have the waiting thread send a message."""
        with self._changed:
            self._untold = body
            self._changed.notify_all()

    def finish(self, body: bytes) -> None:
        """Nothing: there is no last message."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Hand an error to the waiting thread."""
        with self._changed:
            self._error = (code, text)
            self._changed.notify_all()

    def messages(self) -> Iterator[bytes]:
        """What to send, until the caller leaves."""
        while (body := self._next()) is not None:
            yield body

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self.gone or self._untold is not None or self._error is not None)
            if self._error is not None:
                self._context.abort(*self._error)
            body, self._untold = self._untold, None
            return None if self.gone else body

    def _ended(self) -> None:
        with self._changed:
            self.gone = True
            self._changed.notify_all()
