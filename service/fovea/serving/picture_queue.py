"""Where pictures wait to be decoded: a few threads of their own, and a bounded queue before them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fovea.contract.errors import QueueFull
from fovea.serving.pipeline import QueueLimit

_THREADS = 2
"""Decoding lets other threads run; more would take the cores that the models run on."""
_MB = 1024 * 1024


class PictureQueue:
    """Bounded in requests and in bytes, like the queue of a model. `submit` may be called from any thread."""

    def __init__(self, limit: QueueLimit, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self._limit = limit
        self._pool = ThreadPoolExecutor(_THREADS, "pictures")
        self._lock = threading.Lock()
        self._requests = self._bytes = 0

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing is decoded."""
        return not self._requests

    def submit(self, size: int, work: Callable[[], None]) -> None:
        """Have some work done that holds `size` bytes; QueueFull where there is no room."""
        with self._lock:
            fits = self._bytes + size <= self._limit.bytes or not self._requests
            if self._requests >= self._limit.requests or not fits:
                raise QueueFull(
                    f"picture queue full: {self._requests} requests of {self._bytes / _MB:.1f} MB wait, "
                    f"the limit is {self._limit.requests} and {self._limit.bytes // _MB} MB"
                )
            self._requests += 1
            self._bytes += size
        self._pool.submit(self._do, size, work)

    def _do(self, size: int, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._requests -= 1
                self._bytes -= size
