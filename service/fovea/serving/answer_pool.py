"""Threads that answer calls, and a bounded queue before them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fovea.contract.errors import QueueFull
from fovea.serving.engines.reply import Reply

Call = Reply[Any]
Accept = Callable[[Any, Any], None]
"""Answers a call that asks for something."""


def full(what: str, calls: int) -> QueueFull:
    """The error for a call that finds so many of its kind before it, which is all that may wait."""
    return QueueFull(f"{calls} {what} calls wait, which is the limit")


class AnswerPool:
    """Refuses at once what is above its bound, and leaves out calls whose callers are gone. For any thread."""

    def __init__(self, what: str, threads: int, most_calls: int) -> None:
        self._what, self._most_calls = what, most_calls
        self._pool = ThreadPoolExecutor(threads, what)
        self._calls: set[Call] = set()

    @property
    def calls(self) -> list[Call]:
        """Those that are being answered or wait their turn."""
        return list(self._calls)

    def submit(self, accept: Accept, call: Call, asked: Any) -> None:
        """Have a call answered by `accept` when its turn comes; those that wait hold no thread."""
        if len(self._calls) >= self._most_calls:
            call.send(full(self._what, len(self._calls)))
            return
        self._calls.add(call)
        call.watch()
        try:
            self._pool.submit(self._run, accept, call, asked)
        except RuntimeError:  # no more threads are to be had
            self._calls.discard(call)
            raise

    def _run(self, accept: Accept, call: Call, asked: Any) -> None:
        try:
            if not call.gone:
                accept(call, asked)
        finally:
            self._calls.discard(call)
