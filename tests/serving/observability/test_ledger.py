"""What a ledger is told stands in its books once somebody reads them, whoever told it, once and no more."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fovea.serving.engines.outcomes import Outcome
from fovea.serving.engines.ran_batch import RanBatch, Stages
from fovea.serving.observability.ledger import Ledger


def ran(*outcomes: Outcome) -> RanBatch:
    """A batch of requests of 1, 2, … rows, that waited so many seconds and took one more."""
    rows = range(1, 1 + len(outcomes))
    return RanBatch(rows, [10.0 - wait for wait in rows], outcomes, Stages(10.0, 10.0, 11.0, 11.0), {}, 0.0)


class Sums:
    """A book that counts."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.ended: dict[Outcome, tuple[list[float], int]] = {}
        self.additions = 0

    def batches(self, ran: Sequence[RanBatch]) -> None:
        self.additions += 1
        self.waits += [one.stages.begun_s - arrived_s for one in ran for arrived_s in one.arrived_s]

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        before = self.ended.get(outcome, ([], 0))
        self.ended[outcome] = ([*before[0], *duration_s], before[1] + rows)


def test_every_book_gets_what_was_told_once_and_only_when_it_is_settled() -> None:
    books = (Sums(), Sums())
    ledger = Ledger(*books)
    ledger.batch(ran("ok", "deadline", "ok"))
    ledger.requests("failed", [4.0], 1)
    ledger.requests("ok", [3.0], 2)
    assert not books[0].waits
    for _ in range(2):
        ledger.settle()
    for book in books:
        assert book.waits == [1.0, 2.0, 3.0]
        assert book.ended == {"ok": ([2.0, 4.0, 3.0], 6), "deadline": ([3.0], 2), "failed": ([4.0], 1)}


def test_many_tellers_and_readers_lose_nothing_and_what_waits_is_bounded() -> None:
    book = Sums()
    ledger = Ledger(book)

    def tell() -> None:
        for _ in range(2000):
            ledger.batch(ran("ok"))
            ledger.requests("failed", [1.0], 1)

    tellers = [threading.Thread(target=tell) for _ in range(4)]
    for teller in tellers:
        teller.start()
    while any(teller.is_alive() for teller in tellers):
        ledger.settle()
    assert book.additions >= 1
    ledger.settle()
    assert (sum(book.waits), book.ended["ok"][1], book.ended["failed"][1]) == (8000, 8000, 8000)


def test_nobody_has_to_read() -> None:
    book = Sums()
    ledger = Ledger(book)
    for _ in range(1000):
        ledger.batch(ran("ok"))
    assert sum(book.waits) > 800
