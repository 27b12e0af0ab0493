"""Calls answered through ordinary handlers, all of it public gRPC: what runs where the fast lane cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from fovea.serving.deadlines import deadline_after


class PooledLane:
    """Makes handlers, and knows the calls that are in them or on their way back."""

    def __init__(self) -> None:
        self._calls: set[PooledCall] = set()

    def handler(
        self, accept: Callable[[Any, bytes], None], pool: ThreadPoolExecutor | None = None
    ) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        """A unary handler over bytes that waits, on a thread of its own pool or the server's, for the call's answer."""

        def handle(data: bytes, context: grpc.ServicerContext) -> bytes:
            call = PooledCall(context, self._calls)
            accept(call, data)
            return call.wait()

        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return handle

    def unanswered(self) -> list[PooledCall]:
        """The calls whose request has been taken in and whose answer has not been sent."""
        return list(self._calls)


class PooledCall:
    """One call whose handler thread waits for the answer."""

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
