"""A bounded pool of threads that answer calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fovea.serving.engines.reply import Reply
from fovea.serving.fronts.bounded_pool import BoundedPool

Call = Reply[Any]
Accept = Callable[[Any, Any], None]
"""Answers a call that asks for something."""


class AnswerPool:
    """Refuses at once what is above its bound, and leaves out calls whose callers are gone. For any thread."""

    def __init__(self, what: str, threads: int, most_calls: int) -> None:
        self._pool = BoundedPool(what, threads, most_calls)
        self._calls: set[Call] = set()

    @property
    def calls(self) -> list[Call]:
        """Those that are being answered or wait their turn."""
        return list(self._calls)

    def submit(self, accept: Accept, call: Call, asked: Any) -> None:
        """Have a call answered by `accept` when its turn comes; those that wait hold no thread."""
        refusal = self._pool.refusal()
        if refusal is not None:
            call.send(refusal)
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
