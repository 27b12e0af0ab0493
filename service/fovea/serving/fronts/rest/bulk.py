"""Work that takes long for an event loop: done on threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

BULK_BYTES = 64 * 1024
"""Parsing or packing so much takes a millisecond; below it, handing it over would take as long."""
_THREADS = 2


class Bulk:
    """A few threads for what is large."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "rest-bulk")

    def do(self, size: int, work: Callable[..., None], *arguments: object) -> None:
        """Some work on so many bytes, which never raises: done here where it is small, else on a thread."""
        if size > BULK_BYTES:
            work = _once(work)  # a pool that can start no thread has taken it all the same
            with suppress(RuntimeError):  # no more threads are to be had
                self._pool.submit(work, *arguments)
                return
        work(*arguments)


def _once(work: Callable[..., None]) -> Callable[..., None]:
    """The same for the first who calls it; nothing for others."""
    left = [work]

    def run(*arguments: object) -> None:
        try:
            mine = left.pop()
        except IndexError:
            return
        mine(*arguments)

    return run
