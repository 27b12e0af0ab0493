"""Work that takes long for an event loop: done on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
BULK_BYTES = 64 * 1024
"""Parsing or packing so much takes a millisecond; below it, handing it over would take as long."""
_THREADS = 2


class Bulk:
    """A few threads for what is large."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "rest-bulk")

    async def do(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """The result of some work on so many bytes: done here where it is small, else on a thread."""
        if size <= BULK_BYTES:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
