"""When the thread that submits a request may run it, since it takes as long to wake another."""

from __future__ import annotations

import time
from collections.abc import Callable

from fovea.serving.engines.batching.batcher import BatchPolicy
from fovea.serving.engines.queued_request import QueuedRequest

_BRIEF_S = 0.0001
"""To wake a thread for a run takes as long as one that is briefer than this."""
_TOO_LONG_S = 0.002
_DOUBT_PER_RUN = 100
_PAUSES_PER_RUN = 20
"""A run that took too long is followed by a time of doubt, and another one then by a pause, so many times as long."""


class LoneRuns:
    """Runs that were measured to be brief; some take their time nevertheless, with certain data.

    A thread that does not get a processor seems to take long, too. So a run is measured in its processor's time where
    there is doubt: that clock takes 3 µs to read.
    """

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._doubt_until_s = 0.0
        self._paused_until_s = 0.0

    def allow(self, request: QueuedRequest) -> bool:
        """Whether the thread that submits it may run it, if it is alone."""
        cost_s = self._policy.cost(request.batch_key, request.rows)
        is_brief = cost_s is not None and cost_s <= _BRIEF_S and not self._policy.delay_s
        return is_brief and request.arrived_s >= self._paused_until_s

    def watch(self, run: Callable[[], object]) -> None:
        """Run it, and see how long it takes."""
        begun_s = time.monotonic()
        if begun_s < self._doubt_until_s:
            self._measure(run)
            return
        run()
        ended_s = time.monotonic()
        if (took_s := ended_s - begun_s) > _TOO_LONG_S:
            self._doubt_until_s = ended_s + _DOUBT_PER_RUN * took_s

    def _measure(self, run: Callable[[], object]) -> None:
        begun_s = time.thread_time()
        run()
        if (took_s := time.thread_time() - begun_s) > _TOO_LONG_S:
            self._paused_until_s = time.monotonic() + _PAUSES_PER_RUN * took_s
