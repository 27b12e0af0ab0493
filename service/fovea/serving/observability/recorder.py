"""Writes the series of one model version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fovea.serving.engines.outcomes import EVERY_OUTCOME, Outcome
from fovea.serving.engines.ran_batch import RanBatch, stage_seconds


@dataclass(frozen=True)
class ModelLabels:
    """What a version's series are labelled with."""

    model: str
    version: str
    attention: str
    kernels: str
    kernels_cause: str
    provider: str
    sha256: str
    attention_of_op: Mapping[str, str]
    """Operator -> the type its layers have in this model."""

    @property
    def common(self) -> tuple[str, str, str]:
        """The labels of every series of the version."""
        return (self.model, self.version, self.attention)

    @property
    def facts(self) -> tuple[str, ...]:
        """What the version's info tells besides."""
        return (self.kernels, self.kernels_cause, self.provider, self.sha256)


class Recorder:
    """Writes one version's series. Its children are looked up here, once, and not per request."""

    def __init__(
        self, metrics: Mapping[str, Any], labels: ModelLabels, waiting: Callable[[], int], lock: threading.Lock
    ) -> None:
        self._metrics, self.labels, self._lock = metrics, labels, lock
        self.retired = False
        self.settle: Callable[[], None] = lambda: None
        """Brings what is still to be written; it is called before every scrape."""
        common = labels.common
        self._duration = {o: metrics["fovea_request_duration_seconds"].labels(*common, o) for o in EVERY_OUTCOME}
        self._requests = {o: metrics["fovea_requests_total"].labels(*common, o) for o in EVERY_OUTCOME}
        self._rows = {o: metrics["fovea_rows_total"].labels(*common, o) for o in EVERY_OUTCOME}
        self._batches = {o: metrics["fovea_batches_total"].labels(*common, o) for o in ("ok", "failed")}
        self._unwarmed = metrics["fovea_unwarmed_batches_total"].labels(*common)
        stages = ("gather", "run", "split")
        self._stages = [metrics["fovea_batch_compute_seconds"].labels(*common, stage) for stage in stages]
        self._queue = metrics["fovea_queue_duration_seconds"].labels(*common)
        self._batch_rows = metrics["fovea_batch_rows"].labels(*common)
        self._padding = metrics["fovea_padding_ratio"].labels(*common)
        metrics["fovea_waiting_requests"].labels(*common).set_function(waiting)
        metrics["fovea_model_ready"].labels(*common).set(1)
        metrics["fovea_model_info"].labels(*common, *labels.facts).set(1)
        self._lookups = {r: metrics["fovea_cache_lookups_total"].labels(*common, r) for r in ("hit", "miss")}
        self._ops: dict[tuple[str, str], Any] = {}

    def batch_cost(self, points: Iterable[tuple[str, int, float]]) -> None:
        """What batches cost at warm-up: lengths in words, rows, seconds."""
        metric = self._metrics["fovea_batch_cost_seconds"]
        model, version, _ = self.labels.common
        metric.remove_by_labels({"model": model, "version": version})  # of other files, where these replace some
        for lengths, rows, seconds in points:
            metric.labels(*self.labels.common, str(rows), lengths).set(seconds)

    def batches(self, ran: Sequence[RanBatch]) -> None:
        """Count batches that ran."""
        for series, seconds in zip(self._stages, stage_seconds(ran), strict=True):
            series.observe_all(seconds)
        self._batch_rows.observe_all([sum(one.rows) for one in ran])
        self._padding.observe_all([one.padding_ratio for one in ran])
        self._batches["ok"].inc(len(ran))
        self._queue.observe_all([one.stages.begun_s - arrived_s for one in ran for arrived_s in one.arrived_s])
        if unwarmed := sum([not one.warmed for one in ran]):
            self._unwarmed.inc(unwarmed)
        for one in ran:
            for op, inside_s in one.attention_s.items():
                self.attention_op(op, "fused", inside_s)

    def batch_failed(self) -> None:
        """A batch failed; its requests are tried again, or fail."""
        self._batches["failed"].inc()

    def requests(self, outcome: Outcome, duration_s: Sequence[float], rows: int) -> None:
        """Count requests that ended, by outcome."""
        self._duration[outcome].observe_all(duration_s)
        self._requests[outcome].inc(len(duration_s))
        self._rows[outcome].inc(rows)

    def cache_lookup(self, result: Literal["hit", "miss"]) -> None:
        """An answer was looked for in the response cache."""
        self._lookups[result].inc()

    def attention_op(self, op: str, kernels: Literal["fused", "body"], seconds: float) -> None:
        """Time inside one operator in one batch."""
        child = self._ops.get((op, kernels)) or self._op(op, kernels)
        if child is not None:
            child.observe(seconds)

    def _op(self, op: str, kernels: str) -> Any:
        """The operator's series; None for a function of somebody else's."""
        model, version, _ = self.labels.common
        attention = self.labels.attention_of_op.get(op)
        if attention is None:
            return None
        metric = self._metrics["fovea_attention_op_seconds"]
        with self._lock:
            if self.retired:  # a sample that ended late must not bring the series back
                return None
            child = self._ops[op, kernels] = metric.labels(model, version, attention, op, kernels)
        return child
