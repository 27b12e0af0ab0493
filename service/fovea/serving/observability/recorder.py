"""Writes the series of one model version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from fovea.serving.engines.outcomes import EVERY_OUTCOME, Outcome
from fovea.serving.engines.ran_batch import RanBatch, stage_seconds
from fovea.serving.observability.trace import TracedRequest

_COMPUTED = ("COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END")
"""Stamps between which a batch is gathered, run and split."""


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
        self._late: dict[tuple[str, ...], Any] = {}
        """Series that begin with their first value: name and last labels -> series."""

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
        if (series := self._begun("fovea_rows_total", outcome)) is not None:
            series.inc(rows)

    def exemplify(self, request: TracedRequest, trace_id: str) -> None:
        """Show the trace of a request beside the times that are counted of it."""
        at_s = dict(request.stamps)
        self._duration[request.outcome].exemplify(at_s["REQUEST_END"] - at_s["REQUEST_START"], trace_id)
        if _COMPUTED[0] not in at_s:
            return
        self._queue.exemplify(at_s[_COMPUTED[0]] - at_s["REQUEST_START"], trace_id)
        for series, (begin, end) in zip(self._stages, pairwise(_COMPUTED), strict=True):
            series.exemplify(at_s[end] - at_s[begin], trace_id)

    def cache_lookup(self, result: Literal["hit", "miss"]) -> None:
        """An answer was looked for in the response cache."""
        if (series := self._begun("fovea_cache_lookups_total", result)) is not None:
            series.inc()

    def attention_op(self, op: str, kernels: Literal["fused", "body"], seconds: float) -> None:
        """Time inside one operator in one batch; nothing of a function of somebody else's."""
        if (attention := self.labels.attention_of_op.get(op)) is None:
            return
        series = self._begun("fovea_attention_op_seconds", op, kernels, attention=attention)
        if series is not None:
            series.observe(seconds)

    def _begun(self, name: str, *last_labels: str, attention: str | None = None) -> Any:
        """A series that begins with its first value; None once the version's are taken away: none must come back."""
        key = (name, *last_labels)
        if (series := self._late.get(key)) is None:
            model, version, own = self.labels.common
            with self._lock:
                if self.retired:
                    return None
                labels = (model, version, attention or own, *last_labels)
                series = self._late[key] = self._metrics[name].labels(*labels)
        return series
