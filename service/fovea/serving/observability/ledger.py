"""What is said of batches and of requests that ended, added up later, many at a time.

To add up each at once took a worker 20 µs a batch, as long as all else that it does around a run. So it is kept until
somebody reads what is made of it, or until there is enough.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fovea.serving.engines.outcomes import Outcome
from fovea.serving.engines.ran_batch import RanBatch

_ENOUGH = 64
"""Entries; adding them up takes a tenth of a millisecond."""


class EndedRequests(NamedTuple):
    """Requests that ended alike, and their rows in all."""

    outcome: Outcome
    duration_s: Sequence[float]
    rows: int


class Book(Protocol):
    """Adds up what the ledger noted."""

    def batches(self, ran: Sequence[RanBatch]) -> None:
        """Add up batches that have run."""

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Add up requests that ended alike."""


class Ledger:
    """Notes what ran and what ended, from any thread. Whoever reads one of its books calls `settle` first."""

    def __init__(self, *books: Book) -> None:
        self.books = list(books)
        self._batches: deque[RanBatch] = deque()
        self._requests: deque[EndedRequests] = deque()
        self._settling = threading.Lock()

    def batch(self, ran: RanBatch) -> None:
        """Note a batch that has run, and with it the end of its requests."""
        self._batches.append(ran)
        if len(self._batches) >= _ENOUGH:
            self.settle()

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Note requests that ended alike outside of a batch."""
        self._requests.append(EndedRequests(outcome, duration_s, rows))
        if len(self._requests) >= _ENOUGH:
            self.settle()

    def settle(self) -> None:
        """Add up what there is."""
        with self._settling:
            batches = [self._batches.popleft() for _ in range(len(self._batches))]
            ended = [self._requests.popleft() for _ in range(len(self._requests))]
            sums = _by_outcome([*_ends(batches), *ended])
            for book in self.books:
                if batches:
                    book.batches(batches)
                for one in sums:
                    book.requests(*one)


def _ends(batches: Sequence[RanBatch]) -> list[EndedRequests]:
    """Their requests by outcome: nearly always one for all."""
    outcomes = [outcome for ran in batches for outcome in ran.outcomes]
    durations_s = [ran.stages.ended_s - arrived_s for ran in batches for arrived_s in ran.arrived_s]
    rows = [of_one for ran in batches for of_one in ran.rows]
    requests = list(zip(outcomes, durations_s, rows, strict=True))
    return [
        EndedRequests(
            outcome,
            [duration_s for own, duration_s, _ in requests if own == outcome],
            sum([of_one for own, _, of_one in requests if own == outcome]),
        )
        for outcome in set(outcomes)
    ]


def _by_outcome(ended: Sequence[EndedRequests]) -> list[EndedRequests]:
    sums: dict[Outcome, tuple[list[float], list[int]]] = {}
    for outcome, duration_s, rows in ended:
        durations_s, all_rows = sums.setdefault(outcome, ([], []))
        durations_s += duration_s
        all_rows.append(rows)
    return [EndedRequests(outcome, durations_s, sum(rows)) for outcome, (durations_s, rows) in sums.items()]
