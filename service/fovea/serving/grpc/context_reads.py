"""The reading of messages in ordinary handlers, whose threads wait for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc


class ContextRead:
    """A call whose handler waits for a message."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self.seen_s: float | None = None

    def refuse(self, _code: grpc.StatusCode, _text: str) -> None:
        """End the call; from outside its thread there is one code to do that with, CANCELLED."""
        self._context.cancel()


class ContextReads:
    """Those that are open, first the one that has been longest. With `most`, one more cuts off the first."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: dict[ContextRead, None] = {}
        self._lock = threading.Lock()

    def open(self) -> list[ContextRead]:
        """As they are now."""
        with self._lock:
            return list(self._open)

    def message(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The only message of a call; where there is none, the call is aborted."""
        found = self.next(messages, context)
        if found is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message")
        return found

    def next(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The next message of a call, or None where no more come."""
        read = ContextRead(context)
        self._begin(read)
        try:
            return next(messages, None)
        finally:
            with self._lock:
                self._open.pop(read)

    def _begin(self, read: ContextRead) -> None:
        with self._lock:
            self._open[read] = None
            too_many = self._most is not None and len(self._open) > self._most
            first = next(iter(self._open)) if too_many else None
        if first is not None:
            first.refuse(grpc.StatusCode.CANCELLED, "")
