"""Turns on a device: models that share it run in turn, so that a flood on one holds up the others by a batch or two.

Without it, n models under load run n batches at once and each takes n times as long, whoever sent the flood.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable


class Turnstile:
    """Lets `places` owners run at once. Of those who wait, the one whose last turn is longest ago goes first.

    An owner (a model version) may take several turns at once, for its instances, while nobody else waits.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._inside: dict[Hashable, int] = {}
        self._last_turn: dict[Hashable, int] = {}
        self._turns = 0
        self._queue: list[tuple[Hashable, threading.Lock]] = []
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._queue)

    def enter(self, owner: Hashable) -> Callable[[], None]:
        """Wait for a turn. What is returned ends it; more calls of that do nothing."""
        with self._lock:
            if not self._queue and (len(self._inside) < self._places or owner in self._inside):
                return self._admitted(owner)
            ticket = threading.Lock()
            ticket.acquire()
            self._queue.append((owner, ticket))
        ticket.acquire()
        return self._leave_once(owner)

    def forget(self, owner: Hashable) -> None:
        """Of an owner that will not come again."""
        with self._lock:
            self._last_turn.pop(owner, None)

    def _admitted(self, owner: Hashable) -> Callable[[], None]:
        self._turns += 1
        self._last_turn[owner] = self._turns
        self._inside[owner] = self._inside.get(owner, 0) + 1
        return self._leave_once(owner)

    def _leave_once(self, owner: Hashable) -> Callable[[], None]:
        owners = [owner]

        def leave() -> None:
            if owners:
                self._leave(owners.pop())

        return leave

    def _leave(self, owner: Hashable) -> None:
        with self._lock:
            self._inside[owner] -= 1
            if not self._inside[owner]:
                del self._inside[owner]
            while self._queue and len(self._inside) < self._places:
                at = min(range(len(self._queue)), key=lambda place: self._last_turn.get(self._queue[place][0], 0))
                next_owner, ticket = self._queue.pop(at)
                self._admitted(next_owner)
                ticket.release()
