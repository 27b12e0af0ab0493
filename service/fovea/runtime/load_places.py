"""How many versions are loaded at once: as many as there are cores, and as their memory allows, in order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fovea.runtime.memory import available_bytes

MOST_PLACES = 8
"""Each may have a process that tries its version, of 60 MB and more."""
_MEMORY_PER_FILE_BYTE = 4
"""A file is read, parsed and packed: in the process that tries it, and in this one."""


class LoadPlaces:
    """Who loads a version takes a place for that long. `available_bytes` says what memory is left."""

    def __init__(self, most: int, available_bytes: Callable[[], int] = available_bytes) -> None:
        self._most, self._available_bytes = most, available_bytes
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        """Those who wait for a place, the longest-waiting first."""
        self._taken = 0
        self._bytes = 0
        """Bytes of memory that those who load may need."""

    @contextmanager
    def taken(self, file_bytes: int) -> Iterator[None]:
        """A place to load a version of so many bytes, waited for. One is always to be had where nothing is loaded."""
        needed = _MEMORY_PER_FILE_BYTE * file_bytes
        self._enter(needed)
        _OF_THIS_THREAD.places = self
        try:
            yield
        finally:
            _OF_THIS_THREAD.places = None
            self._leave(needed)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Another may have the place meanwhile; the memory stays claimed."""
        self._leave(0)
        try:
            yield
        finally:
            self._enter(0, first=True)

    def _enter(self, needed: int, *, first: bool = False) -> None:
        mine = object()
        with self._changed:
            (self._line.appendleft if first else self._line.append)(mine)
            self._changed.wait_for(lambda: self._line[0] is mine and self._fits(needed))
            self._line.popleft()
            self._taken, self._bytes = self._taken + 1, self._bytes + needed
            self._changed.notify_all()

    def _fits(self, needed: int) -> bool:
        if not self._taken:
            return True
        return self._taken < self._most and (not needed or self._bytes + needed <= self._available_bytes())

    def _leave(self, needed: int) -> None:
        with self._changed:
            self._taken, self._bytes = self._taken - 1, self._bytes - needed
            self._changed.notify_all()


class _ThreadsPlaces(threading.local):
    places: LoadPlaces | None = None


_OF_THIS_THREAD = _ThreadsPlaces()


@contextmanager
def place_lent() -> Iterator[None]:
    """Lend the place that this thread has, if it has one: what it waits for may take long, or never come."""
    places = _OF_THIS_THREAD.places
    if places is None:
        yield
    else:
        with places.lent():
            yield
