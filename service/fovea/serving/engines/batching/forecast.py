"""Whether a request can be answered before its time is up, from what batches were measured to cost."""

from __future__ import annotations

from fovea.contract.errors import DeadlineExceeded, QueueTimeout
from fovea.serving.engines.queued_request import QueuedRequest

SURE = 0.75
"""Only who would be late even if everything took this share of its measured time is refused: what was measured on a
busy machine may be too long, and a wrong refusal is worse than a late answer."""


def refusal(request: QueuedRequest, work_s: float, now_s: float) -> QueueTimeout | DeadlineExceeded | None:
    """The error for a request that has `work_s` seconds of work before its answer, itself included; None where it may
    be in time.

    A request that may only wait so long, and has no deadline, needs its batch to start in time, not to end.
    """
    left_s = request.due_s - now_s
    if work_s * SURE <= left_s:
        return None
    told = f"it has {max(left_s, 0.0) * 1e3:.1f} ms left, and about {work_s * 1e3:.1f} ms of work are before its answer"
    if request.due_s == request.deadline_s:
        return DeadlineExceeded(f"the deadline cannot be met: {told}")
    return QueueTimeout(f"it would time out in the queue: {told}")
