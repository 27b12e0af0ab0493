"""Threads, and a bound on the calls that run or wait for one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from fovea.contract.errors import QueueFull


class BoundedPool(ThreadPoolExecutor):
    """A pool that knows how many calls it has. Whoever submits one asks for `refusal` first."""

    def __init__(self, what: str, threads: int, most_calls: int) -> None:
        super().__init__(threads, what)
        self._what, self._most_calls = what, most_calls
        self._lock = Lock()
        self._calls = 0

    def refusal(self) -> QueueFull | None:
        """Why no more may come; None while one may."""
        calls = self._calls
        return QueueFull(f"{calls} {self._what} calls wait, which is the limit") if calls >= self._most_calls else None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call handled; RuntimeError where no more threads are to be had."""
        self._count(1)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:
            self._count(-1)
            raise
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, more: int) -> None:
        with self._lock:
            self._calls += more
