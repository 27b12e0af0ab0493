"""Which waiting requests form the next batch: pure decisions, no clock, no threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf

from fovea.contract.lengths import Lengths
from fovea.serving.engines.batching.waiting import Line, Waiting, put_back
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest, is_late

_SOON_S = 0.001
"""A batch that is held back for company begins so long before the time of one of its requests is up, besides twice what
it takes: what wakes the worker, and measures the batch, is no more exact than that."""

Cost = Callable[[BatchKey, int], float | None]
"""Seconds that a batch of a kind takes, by its rows; None where that was not measured."""
WorthwhileRows = Callable[[Lengths], int | None]
"""The largest batch worth making, by the lengths that it is padded to; None where that was not measured."""


def _unknown(_key: BatchKey, _rows: int) -> float | None:
    return None


def _unmeasured(_lengths: Lengths) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How large batches are made, and when."""

    max_rows: int
    """Most rows in a batch."""
    delay_s: float = 0.0
    """How long the oldest request may wait for company."""
    worthwhile_rows: WorthwhileRows = _unmeasured
    """Most in a batch that is padded to some lengths, where it pays to make fewer."""
    preferred_rows: tuple[int, ...] = ()
    """Sizes to make where enough waits; a batch of such a size waits for no company."""
    max_elements: int | None = None
    """Most rows times padded length in a batch, where there are lengths; several are added up."""
    cost: Cost = _unknown
    """Seconds that a batch takes, by rows and length; None where that is not known."""

    def sizes(self, measured: Iterable[Lengths]) -> tuple[int, ...]:
        """Those preferred, ascending; where none are, the largest batches worth making, over the lengths measured."""
        worthwhile = {min(self.max_rows, rows) for rows in map(self.worthwhile_rows, measured) if rows}
        return tuple(sorted(self.preferred_rows or worthwhile or {self.max_rows}))

    def rows_of(self, key: BatchKey) -> int:
        """Most rows in a batch of this kind."""
        most = min(self.max_rows, self.worthwhile_rows(key.lengths) or self.max_rows)
        if self.max_elements is not None and key.lengths:
            most = min(most, self.max_elements // sum(key.lengths))
        return max(1, most)

    def row_s(self, key: BatchKey) -> float:
        """What a row costs at best, in a full batch; 0 where that is not known."""
        rows = self.rows_of(key)
        return (self.cost(key, rows) or 0.0) / rows


@dataclass(slots=True)
class Selection:
    """What was taken off the queue: a batch to run, and requests that will not run."""

    batch: list[QueuedRequest] = field(default_factory=list)
    gone: list[QueuedRequest] = field(default_factory=list)
    late: list[QueuedRequest] = field(default_factory=list)
    wait_s: float = 0.0
    """More than 0: nothing is due yet, come back after this time."""

    @property
    def requests(self) -> list[QueuedRequest]:
        """Everything that was taken off."""
        return [*self.batch, *self.gone, *self.late]


def take_batch(waiting: Waiting, now_s: float, policy: BatchPolicy) -> Selection:
    """Take the next batch: the most urgent request that is due, and all of its kind that fit with it.

    Other kinds, and requests too large for the room left, keep their places. Requests whose caller is gone or whose
    time is up are taken off the lines that are looked at, and never reach a batch. The only effect is on `waiting`.
    """
    selection = Selection()
    for line in waiting.lines():
        _take_from(line, now_s, policy, selection)
        if selection.batch:
            selection.wait_s = 0.0
            break
    waiting.account_for(selection.requests)
    return selection


def drop_dead(waiting: Waiting, now_s: float) -> Selection:
    """Take off every request whose caller is gone or whose time is up; the others keep their order."""
    selection = Selection()
    for line in waiting.lines():
        requests = list(line)
        line.clear()
        line.extend(request for request in requests if not _is_dead(request, now_s, selection))
    waiting.account_for(selection.requests)
    return selection


def _take_from(line: Line, now_s: float, policy: BatchPolicy, selection: Selection) -> None:
    """Take a batch off one line; or leave it as it is and tell how long to hold it back."""
    most = policy.rows_of(line[0].batch_key)
    batch, kept = _fitting(line, most, now_s, selection)
    preferred = _preferred(batch, policy.preferred_rows) if policy.preferred_rows else 0
    if policy.delay_s and batch and not (preferred or kept) and (hold_s := _hold_s(batch, most, now_s, policy)):
        put_back(line, batch)
        selection.wait_s = min(selection.wait_s or inf, hold_s)
        return
    count = preferred or len(batch)
    if kept or count < len(batch):
        put_back(line, [*batch[count:], *kept])
    selection.batch = batch[:count]


def _fitting(
    line: Line, most_rows: int, now_s: float, selection: Selection
) -> tuple[list[QueuedRequest], list[QueuedRequest]]:
    """The first requests of a line that fit together, and those passed over, which are too large for the room left."""
    batch: list[QueuedRequest] = []
    kept: list[QueuedRequest] = []
    rows = 0
    while line and rows < most_rows:
        request = line.popleft()
        if _is_dead(request, now_s, selection):
            continue
        if not batch or rows + request.rows <= most_rows:  # a request above the limit runs alone
            batch.append(request)
            rows += request.rows
        else:
            kept.append(request)
    return batch, kept


def _is_dead(request: QueuedRequest, now_s: float, selection: Selection) -> bool:
    # Time first: gRPC cancels a call at its deadline, and such a caller is both late and gone.
    if is_late(request, now_s):
        selection.late.append(request)
    elif request.reply.gone:
        selection.gone.append(request)
    else:
        return False
    return True


def _preferred(batch: Sequence[QueuedRequest], preferred_rows: tuple[int, ...]) -> int:
    """How many of the requests make the largest preferred size that can be made of them in order; 0 where none can."""
    sums = accumulate(request.rows for request in batch)
    return max((count for count, rows in enumerate(sums, 1) if rows in preferred_rows), default=0)


def _hold_s(batch: Sequence[QueuedRequest], most_rows: int, now_s: float, policy: BatchPolicy) -> float:
    """A batch with room may wait for company, until its oldest request has waited `delay_s` or one must begin now."""
    rows = sum([request.rows for request in batch])
    if rows >= most_rows:
        return 0.0
    until_s = min(request.arrived_s for request in batch) + policy.delay_s
    due_s = min(request.due_s for request in batch)
    if due_s < inf:
        until_s = min(until_s, due_s - 2 * (policy.cost(batch[0].batch_key, rows) or 0.0) - _SOON_S)
    return max(0.0, until_s - now_s)
