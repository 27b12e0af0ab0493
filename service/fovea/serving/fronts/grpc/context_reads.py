"""The reading of messages in ordinary handlers, whose threads wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

_ITS_TIME_S = 0.1
"""A message that was sent with its call is here within milliseconds; so long also where a thousand come at once."""


class ContextRead:
    """A call whose handler waits for a message."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self.begun_s = time.monotonic()
        self.seen_s: float | None = None

    def refuse(self, _code: grpc.StatusCode, _text: str) -> None:
        """End the call; from outside its thread there is one code to do that with, CANCELLED."""
        self._context.cancel()


class ContextReads:
    """Those that are open, first the one that has been longest. With `most`, one more waits until the first ends, which
    is cut off once it has had its time.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: dict[ContextRead, None] = {}
        self._changed = threading.Condition()

    def open(self) -> list[ContextRead]:
        """The calls whose message is still on its way, the longest-waiting first."""
        with self._changed:
            return list(self._open)

    def message(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The only message of a call; where there is none, the call is aborted."""
        found = self.next(messages, context)
        if found is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a message")
        return found

    def next(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The next message of a call, or None where no more come."""
        with self._changed:
            self._make_room()
            read = ContextRead(context)
            self._open[read] = None
        try:
            return next(messages, None)
        finally:
            with self._changed:
                self._open.pop(read, None)
                self._changed.notify()

    def _make_room(self) -> None:
        while self._most is not None and len(self._open) >= self._most:
            first = next(iter(self._open))
            left_s = first.begun_s + _ITS_TIME_S - time.monotonic()
            if left_s <= 0:
                self._open.pop(first)
                first.refuse(grpc.StatusCode.CANCELLED, "")
            else:
                self._changed.wait(left_s)
