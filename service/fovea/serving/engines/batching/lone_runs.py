"""Which requests the thread that submits them may run, since it takes as long to wake another."""

from __future__ import annotations

from fovea.runtime.cost import BatchCost
from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.batching.measured_cost import MeasuredCost
from fovea.serving.engines.queued_request import QueuedRequest

_BRIEF_S = 0.0001
"""To wake a thread for a run takes as long as one that is briefer than this."""


def is_brief(cost: BatchCost) -> bool:
    """Whether some batch was measured to be brief."""
    return any(seconds <= _BRIEF_S for curve in cost.curves.values() for seconds in curve.values())


class LoneRuns:
    """Those whose runs were measured to be brief, where that goes by no value in them."""

    def __init__(self, policy: BatchPolicy, measured: MeasuredCost) -> None:
        self._cost = policy.cost
        self._may_be_allowed = measured.steady and not policy.delay_s

    def allow(self, request: QueuedRequest) -> bool:
        """Whether the thread that submits it may run it, if it is alone."""
        if not (request.alone and self._may_be_allowed):
            return False
        cost_s = self._cost(request.batch_key, request.rows)
        return cost_s is not None and cost_s <= _BRIEF_S
