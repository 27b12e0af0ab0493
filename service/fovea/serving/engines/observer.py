"""Who is told of batches and of requests that ended, and what they are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.outcomes import Outcome, outcome_of
from fovea.serving.engines.queued_request import QueuedRequest
from fovea.serving.engines.ran_batch import RanBatch

log = logging.getLogger(__name__)


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
        tell(request.trace.end, time.monotonic(), error)
    tell(observer.requests, outcome_of(error), [time.monotonic() - request.arrived_s], request.rows)


def tell(observe: Callable[..., None], *facts: object) -> None:
    """Tell an observer; its trouble is not the requests'."""
    try:
        observe(*facts)
    except Exception:
        log.exception("an observer failed")
