"""Who is told of batches and of requests that ended, and what they are told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.outcomes import Outcome, outcome_of
from fovea.serving.engines.queued_request import QueuedRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What one batch took, in seconds."""

    requests: int
    rows: int
    gather_s: float
    run_s: float
    split_s: float
    attention_s: Mapping[str, float]
    """Inside each attention operator, as its kernel tells; empty where bodies run."""
    padding_ratio: float
    """The share of the batch's elements that is padding."""
    warmed: bool = True
    """Whether warm-up ran batches of this kind that were as large."""


class Observer(Protocol):
    """Told after callers are answered."""

    def batch(self, record: BatchRecord, queue_s: Sequence[float]) -> None:
        """A batch ran; `queue_s` is how long each of its requests had waited."""

    def batch_failed(self) -> None:
        """A batch failed as a whole; its halves are tried next, or its one request fails."""

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Requests ended, together `rows` rows."""

    def sample(self, batch: Sequence[Arrays]) -> None:
        """Requests with these inputs just ran together; for whoever wants to run them again."""


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
