"""Turns on a device: models that share it run in turn, so that a flood on one holds up the others by a batch or two.

Without it, n models under load run n batches at once and each takes n times as long, whoever sent the flood.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable


class Turnstile:
    """Lets `places` runs happen at once. Who has waited for a turn gets it before anyone who has just had one.

    An owner (a model version) may take several turns at once, for its instances, while nobody else waits.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken: dict[Hashable, int] = {}
        self._last_served: dict[Hashable, int] = {}
        self._served = 0
        self._queue: list[tuple[Hashable, threading.Lock]] = []
        self._lock = threading.Lock()

    def enter(self, owner: Hashable) -> None:
        """Wait for a turn; `leave` is to be called after it."""
        with self._lock:
            if self._may_enter(owner):
                self._admit(owner)
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._queue.append((owner, ticket))
        ticket.acquire()

    def leave(self, owner: Hashable) -> None:
        """End a turn."""
        with self._lock:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
            self._call()

    def forget(self, owner: Hashable) -> None:
        """Of an owner that will not come again."""
        with self._lock:
            self._last_served.pop(owner, None)

    def _may_enter(self, owner: Hashable) -> bool:
        return not self._queue and (len(self._taken) < self._places or owner in self._taken)

    def _admit(self, owner: Hashable) -> None:
        self._served += 1
        self._last_served[owner] = self._served
        self._taken[owner] = self._taken.get(owner, 0) + 1

    def _call(self) -> None:
        """Let in those who wait, the longest not served first, as far as there are places."""
        while self._queue and len(self._taken) < self._places:
            at = min(range(len(self._queue)), key=lambda place: self._last_served.get(self._queue[place][0], 0))
            owner, ticket = self._queue.pop(at)
            self._admit(owner)
            ticket.release()
