"""Triton's `nv_inference_*` metrics, for dashboards that are there already: read from the totals when scraped.

Units are Triton's, microseconds. A counter's name has no `_total` there, which prometheus_client only writes for
metrics whose type is not said; Prometheus computes with them all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from fovea.contract.model_card import ModelCard
from fovea.serving.engines.engine import Engine
from fovea.serving.engines.outcomes import Outcome
from fovea.serving.observability.statistics import Statistics, Total, VersionTotals

FAILURE_REASONS: dict[Outcome, str] = {
    "rejected": "REJECTED",
    "deadline": "REJECTED",
    "cancelled": "CANCELED",
    "failed": "BACKEND",
}
"""How a request failed -> Triton's word for it; a time-out in the queue is a rejection there."""
_EVERY_REASON = (*dict.fromkeys(FAILURE_REASONS.values()), "OTHER")
"""Dashboards may ask for the last one too, which nothing is here."""


class Counted(Protocol):
    """A version that is served."""

    card: ModelCard
    version: str
    statistics: Statistics
    engine: Engine


@dataclass(frozen=True)
class _Definition:
    text: str
    read: Callable[[VersionTotals], float]


def _us(total: Total) -> float:
    return total.ns / 1e3


TRITON_METRICS: dict[str, _Definition] = {
    "nv_inference_request_success": _Definition("Requests that succeeded.", lambda totals: totals.success.count),
    "nv_inference_count": _Definition("Rows inferred, without cached ones.", lambda totals: totals.inference_count),
    "nv_inference_exec_count": _Definition(
        "Batches run, without cached requests.", lambda totals: totals.execution_count
    ),
    "nv_inference_request_duration_us": _Definition(
        "Time of requests that succeeded, end to end, with cached ones.", lambda totals: _us(totals.success)
    ),
    "nv_inference_queue_duration_us": _Definition(
        "Time that requests waited for their batch, with cached ones.", lambda totals: _us(totals.queue)
    ),
    "nv_inference_compute_input_duration_us": _Definition(
        "Time of making inputs ready, without cached requests.", lambda totals: _us(totals.compute.compute_input)
    ),
    "nv_inference_compute_infer_duration_us": _Definition(
        "Time of running the model, without cached requests.", lambda totals: _us(totals.compute.compute_infer)
    ),
    "nv_inference_compute_output_duration_us": _Definition(
        "Time of making outputs ready, without cached requests.", lambda totals: _us(totals.compute.compute_output)
    ),
    "nv_cache_num_hits_per_model": _Definition("Answers that were cached.", lambda totals: totals.cache_hit.count),
    "nv_cache_num_misses_per_model": _Definition(
        "Requests whose answer was not cached.", lambda totals: totals.cache_miss.count
    ),
    "nv_cache_hit_duration_per_model": _Definition(
        "Microseconds of finding cached answers.", lambda totals: _us(totals.cache_hit)
    ),
    "nv_cache_miss_duration_per_model": _Definition(
        "Microseconds of looking for answers that were not cached, and of keeping them.",
        lambda totals: _us(totals.cache_miss),
    ),
}
"""Counters of one value per version; failures and waiting requests are beside them."""
_FAILURE = "nv_inference_request_failure"
_PENDING = "nv_inference_pending_request_count"


class TritonMetrics(Collector):
    """Registers itself; asks for the versions that are served at every scrape."""

    def __init__(self, served: Callable[[], Iterable[Counted]], registry: CollectorRegistry) -> None:
        self._served = served
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """The metrics without their samples: the registry takes the names from them."""
        for name, definition in TRITON_METRICS.items():
            yield Metric(name, definition.text, "unknown")
        yield Metric(_FAILURE, "Requests that failed, by reason.", "unknown")
        yield Metric(_PENDING, "Requests that wait for their batch.", "gauge")

    def collect(self) -> Iterator[Metric]:
        metrics = {metric.name: metric for metric in self.describe()}
        for served in self._served():
            labels = {"model": served.card.name, "version": served.version}
            totals = served.statistics.read()
            for name, definition in TRITON_METRICS.items():
                metrics[name].add_sample(name, labels, definition.read(totals))
            for reason, count in _failures(totals).items():
                metrics[_FAILURE].add_sample(_FAILURE, {**labels, "reason": reason}, count)
            metrics[_PENDING].add_sample(_PENDING, labels, served.engine.waiting)
        yield from metrics.values()


def _failures(totals: VersionTotals) -> dict[str, int]:
    """Failed requests by Triton's reasons, all of them."""
    counts = dict.fromkeys(_EVERY_REASON, 0)
    for outcome, reason in FAILURE_REASONS.items():
        counts[reason] += totals.failures.get(outcome, 0)
    return counts
