"""What requests will take, from what batches were measured to cost, and which therefore cannot be answered in time."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fovea.contract.errors import DeadlineExceeded, QueueTimeout
from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.batching.waiting import Waiting
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest

SURE = 0.75
"""Only who would be late even if everything took this share of its measured time is refused: what was measured on a
busy machine may be too long, and a wrong refusal is worse than a late answer."""
_KINDS_KEPT = 1024


class RowCosts(dict[BatchKey, float]):
    """By kind, what a row costs at best; worked out when first asked for."""

    def __init__(self, policy: BatchPolicy) -> None:
        super().__init__()
        self._policy = policy

    def __missing__(self, key: BatchKey) -> float:
        if len(self) >= _KINDS_KEPT:
            self.clear()
        row_s = self[key] = self._policy.row_s(key)
        return row_s


@dataclass(frozen=True)
class Forecast:
    """When requests will be answered, by a policy's costs and so many workers."""

    policy: BatchPolicy
    workers: int

    def refusal(
        self, request: QueuedRequest, waiting: Waiting, first_free_s: float, now_s: float
    ) -> QueueTimeout | DeadlineExceeded | None:
        """The error for a newcomer that cannot be answered in time; None where it may be, or costs are not known.

        A worker takes the next batch in `first_free_s`. A request that may only wait so long, and has no deadline,
        needs its batch to start in time, not to end.
        """
        alone_s = None if request.due_s == inf else self.policy.cost(request.batch_key, request.rows)
        if alone_s is None:
            return None
        own_s = first_free_s + (alone_s if request.due_s == request.deadline_s else 0.0)
        if _refusal(request, own_s + waiting.work_s / self.workers, now_s) is None:
            return None
        most = self.policy.rows_of(request.batch_key)
        ahead_s = waiting.ahead_s(request, most)  # the exact one takes a look at every request that waits
        return _refusal(request, own_s + ahead_s / self.workers, now_s)


def _refusal(request: QueuedRequest, work_s: float, now_s: float) -> QueueTimeout | DeadlineExceeded | None:
    left_s = request.due_s - now_s
    if work_s * SURE <= left_s:
        return None
    told = f"it has {max(left_s, 0.0) * 1e3:.1f} ms left, and about {work_s * 1e3:.1f} ms of work are before its answer"
    if request.due_s == request.deadline_s:
        return DeadlineExceeded(f"the deadline cannot be met: {told}")
    return QueueTimeout(f"it would time out in the queue: {told}")
