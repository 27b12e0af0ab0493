"""A timer that is put off with nearly every request, and hardly ever rings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Timer:
    """Calls `ring` once its time is over. To put it off costs a look at the clock; the loop's own, an entry each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = self._looks_s = inf

    def set(self, after_s: float) -> None:
        """Ring so many seconds from now, whatever was set before."""
        self._due_s = self._loop.time() + after_s
        if self._due_s < self._looks_s:
            self._look_at(self._due_s)

    def stop(self) -> None:
        """Do not ring until it is set again."""
        self._due_s = inf

    def close(self) -> None:
        """Never ring again, and let go of the loop's handle."""
        self._due_s = inf
        if self._handle is not None:
            self._handle.cancel()

    def _look_at(self, due_s: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._looks_s, self._handle = due_s, self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        self._handle, self._looks_s = None, inf
        if self._due_s == inf:
            return
        if self._due_s > self._loop.time():
            self._look_at(self._due_s)
        else:
            self._due_s = inf
            self._ring()
