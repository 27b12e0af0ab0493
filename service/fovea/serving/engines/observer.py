"""Who is told of batches and of requests that ended, and what they are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import sub
from typing import NamedTuple, Protocol

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.outcomes import Outcome, outcome_of
from fovea.serving.engines.queued_request import QueuedRequest

log = logging.getLogger(__name__)


class Stages(NamedTuple):
    """When a batch went from one stage to the next, in seconds of the monotonic clock."""

    begun_s: float
    gathered_s: float
    ran_s: float
    ended_s: float
    """When every caller had been answered."""


class RanBatch(NamedTuple):
    """A batch that ran. Of `rows`, `arrived_s` and `outcomes` there is one for each of its requests, in order."""

    rows: Sequence[int]
    arrived_s: Sequence[float]
    outcomes: Sequence[Outcome]
    stages: Stages
    attention_s: Mapping[str, float]
    """Seconds inside each attention operator, as its kernel tells; empty where bodies run."""
    padding_ratio: float
    """The share of the batch's elements that is padding."""
    warmed: bool = True
    """Whether warm-up ran batches of this kind that were as large."""


def stage_seconds(ran: Sequence[RanBatch]) -> list[list[float]]:
    """What each of some batches, one at least, took to gather, to run, and to split and answer: a list for each."""
    moments = zip(*[one.stages for one in ran], strict=True)
    return [list(map(sub, later, earlier)) for earlier, later in pairwise(moments)]


class Observer(Protocol):
    """Told after callers are answered."""

    def batch(self, ran: RanBatch, inputs: Sequence[Arrays]) -> None:
        """A batch ran, and its requests ended. `inputs` are theirs, for whoever wants to run them again; none where it
        ran for attention maps.
        """

    def batch_failed(self) -> None:
        """A batch failed as a whole; its halves are tried next, or its one request fails."""

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Requests ended outside of a batch that ran, together `rows` rows."""


def fail(request: QueuedRequest, error: FoveaError, observer: Observer) -> None:
    """Send an error and tell the observer."""
    request.reply.send(error)
    if request.trace is not None:
        tell(request.trace.end, time.monotonic())
    tell(observer.requests, outcome_of(error), [time.monotonic() - request.arrived_s], request.rows)


def tell(observe: Callable[..., None], *facts: object) -> None:
    """Tell an observer; its trouble is not the requests'."""
    try:
        observe(*facts)
    except Exception:
        log.exception("an observer failed")
