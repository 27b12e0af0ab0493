"""One text for all who wait for it: however many scrape, writing it takes a tenth of a core at most."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_LEAST_PAUSE_S = 0.1
_PAUSES_PER_TEXT = 9
"""A text that took long is followed by a pause so many times as long."""


class Scrape:
    """A text, and the same packed, which is done once and only where somebody wants it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._packed: bytes | None = None
        self._lock = threading.Lock()

    def packed(self) -> bytes:
        """The text of a scrape, packed with gzip."""
        with self._lock:
            self._packed = self._packed or gzip.compress(self.text, 1, mtime=0)
            return self._packed


class Scrapes:
    """Has a text written for those who ask; it is never from before they did. May be used by any thread.

    Who comes while one is written shares the next one. One that nobody comes close before waits for nothing.
    """

    def __init__(self, write: Callable[[], bytes]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1, "metrics-text")
        self._next: Future[Scrape] | None = None
        self._due_s = 0.0
        self._lock = threading.Lock()

    def latest(self) -> Scrape:
        """What is so now or a moment later."""
        with self._lock:
            if self._next is None:
                self._next = self._pool.submit(self._turn)
            shared = self._next
        return shared.result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _turn(self) -> Scrape:
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        with self._lock:  # from now on who comes is told what is so later
            self._next = None
        begun_s = time.monotonic()
        scrape = Scrape(self._write())
        ended_s = time.monotonic()
        self._due_s = ended_s + max(_LEAST_PAUSE_S, _PAUSES_PER_TEXT * (ended_s - begun_s))
        return scrape
