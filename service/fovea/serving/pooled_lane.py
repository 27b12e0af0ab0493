"""ModelInfer through an ordinary handler, all of it public gRPC: what runs where the fast lane cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

_NEVER_S = 1e15


def handler(accept: Callable[[Any, bytes], None], threads: int) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    """A unary handler over bytes that waits, on a thread of its own pool, for what `accept` makes of the call.

    A pool of its own, so that requests that wait here leave health checks their threads.
    """

    def handle(data: bytes, context: grpc.ServicerContext) -> bytes:
        call = PooledCall(context)
        accept(call, data)
        return call.wait()

    handle.experimental_thread_pool = ThreadPoolExecutor(threads, "grpc-infer")  # type: ignore[attr-defined]
    return handle


class PooledCall:
    """One call whose handler thread waits for the answer."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        remaining_s = context.time_remaining()
        self.deadline_s = None if remaining_s is None or remaining_s > _NEVER_S else time.monotonic() + remaining_s
        self.gone = False
        self._context = context
        self._answered = threading.Event()
        self._body: bytes | None = None
        self._error: tuple[grpc.StatusCode, str] | None = None
        if not context.add_callback(self._ended):
            self.gone = True

    def watch(self) -> None:
        """Nothing to do: a handler is always told of its caller's end."""

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
        self._answered.set()
