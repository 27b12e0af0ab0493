"""The metrics of `/metrics`: a recorder per model version."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from fovea import __version__
from fovea.contract.attention import AttentionType
from fovea.runtime.kernel_library import Cause
from fovea.serving.observability.histograms import Histograms
from fovea.serving.observability.log_handler import lines_lost
from fovea.serving.observability.metrics import LATENCY_BUCKETS_S, METRICS, OBJECTIVE_S, UNKNOWN_MODEL, Metric
from fovea.serving.observability.recorder import ModelLabels, Recorder
from fovea.serving.observability.trace import TracedRequest

log = logging.getLogger(__name__)

FALLBACKS = tuple(cause.value for cause in Cause if cause not in (Cause.OFF, Cause.NOT_NEEDED))
"""Why a body runs, where nobody chose it."""
_UNREADY = AttentionType.UNKNOWN.value
"""The attention type in series of a version that is not ready; `none` would say that it has no attention."""


class Telemetry:
    """All metrics of one server."""

    def __init__(self, latency_buckets_s: Sequence[float] = LATENCY_BUCKETS_S) -> None:
        if OBJECTIVE_S not in latency_buckets_s:
            log.warning("latency_buckets_s lacks %g: the alerts on slow answers that ship will never fire", OBJECTIVE_S)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a third of the series, for nobody
        self.registry = CollectorRegistry()
        """Those that prometheus_client writes: all but the histograms, which are most of the text."""
        self._metrics = {
            name: _make(name, metric, latency_buckets_s, self.registry) for name, metric in METRICS.items()
        }
        self._metrics["fovea_server_info"].labels(__version__).set(1)
        self._fallbacks = {o: self._metrics["fovea_kernel_fallbacks_total"].labels(o) for o in FALLBACKS}
        self._lines_lost = 0
        self._recorders: dict[tuple[str, ...], Recorder] = {}
        """(model, version) -> who writes its series."""
        self._lock = threading.Lock()
        self._stray = self._metrics["fovea_requests_total"].labels(*UNKNOWN_MODEL, "invalid")

    def text(self) -> bytes:
        """What a scrape reads, in Prometheus's text format."""
        self._settle()
        own = "".join(part for histogram in self._histograms() for part in histogram.text())
        return own.encode() + generate_latest(self.registry)

    def open_text(self) -> bytes:
        """The same in OpenMetrics' format, which has exemplars."""
        self._settle()
        own = "".join(part for histogram in self._histograms() for part in histogram.open_text())
        rest: bytes = generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]
        return own.encode() + rest

    def _histograms(self) -> list[Histograms]:
        return [metric for metric in self._metrics.values() if isinstance(metric, Histograms)]

    def _settle(self) -> None:
        """Bring what is still to be written."""
        for recorder in list(self._recorders.values()):
            recorder.settle()
        self._count_lost_lines()

    def _count_lost_lines(self) -> None:
        with self._lock:
            before, self._lines_lost = self._lines_lost, lines_lost()
            self._metrics["fovea_log_lines_lost_total"].inc(self._lines_lost - before)

    def exemplify(self, request: TracedRequest, trace_id: str) -> None:
        """Show the trace of a request beside the times that are counted of it."""
        with self._lock:
            recorder = self._recorders.get((request.facts["model_name"], request.facts["model_version"]))
        if recorder is not None:
            recorder.exemplify(request, trace_id)

    def certificate(self, file: str, ends_s: Callable[[], float]) -> None:
        """Ask for a certificate's end at every scrape: it may be renewed."""
        self._metrics["fovea_certificate_expiry_timestamp_seconds"].labels(file).set_function(ends_s)

    def cache_bytes(self, held: Callable[[], int]) -> None:
        """Ask for what the response cache holds at every scrape."""
        self._metrics["fovea_cache_bytes"].set_function(held)

    def fault(self) -> None:
        """Something of gRPC that could not be handled."""
        self._metrics["fovea_grpc_faults_total"].inc()

    def stray_request(self) -> None:
        """A request for a model or version that is not there."""
        self._stray.inc()

    def unready_request(self, model: str, version: str, still: Callable[[], bool]) -> None:
        """A request for a version that is there and not ready; stray where it is `still` so no more.

        `still` is asked under the lock, so that no series comes back after its version's were taken away.
        """
        with self._lock:
            if still():
                self._metrics["fovea_requests_total"].labels(model, version, _UNREADY, "rejected").inc()
                return
        self.stray_request()

    def unready(self, model: str, version: str) -> None:
        """A version that is known and cannot be served."""
        self._metrics["fovea_model_ready"].labels(model, version, _UNREADY).set(0)

    def forget(self, model: str, version: str) -> None:
        """A version that is ready by now, or gone: take away what there is of the time when it was neither.

        To be called after the table says so, or a request that comes in between brings it back.
        """
        with self._lock:
            recorder = self._recorders.get((model, version))
            if recorder is None:
                _remove(self._metrics, model=model, version=version)
            elif recorder.labels.attention != _UNREADY:
                _remove(self._metrics, model=model, version=version, attention=_UNREADY)

    def recorder(self, labels: ModelLabels, waiting: Callable[[], int]) -> Recorder:
        """The recorder of one version; `waiting` is asked at every scrape.

        Where the version is being served already, from other files, the new one goes on with its series.
        """
        with self._lock:
            if labels.common[:2] not in self._recorders:  # what it got while it was not ready has no type
                _remove(self._metrics, model=labels.model, version=labels.version)
            recorder = Recorder(self._metrics, labels, waiting, self._lock)
            self._recorders[labels.common[:2]] = recorder
        if labels.kernels_cause in self._fallbacks:
            self._fallbacks[labels.kernels_cause].inc()
        return recorder

    def retire(self, recorder: Recorder) -> None:
        """Take a version's series away; those that a newer recorder of the same version goes on with stay."""
        labels = recorder.labels
        with self._lock:
            recorder.retired = True
            newer = self._recorders.get(labels.common[:2])
            if newer is recorder:
                del self._recorders[labels.common[:2]]
                _remove(self._metrics, model=labels.model, version=labels.version)
            elif newer and newer.labels.attention != labels.attention:
                _remove(self._metrics, model=labels.model, version=labels.version, attention=labels.attention)
            elif newer and newer.labels.facts != labels.facts:
                self._metrics["fovea_model_info"].remove(*labels.common, *labels.facts)


def _make(name: str, metric: Metric, latency_buckets_s: Sequence[float], registry: CollectorRegistry) -> Any:
    if metric.kind == "histogram":
        return Histograms(name, metric.text, metric.labels, metric.buckets or latency_buckets_s)
    kind = Counter if metric.kind == "counter" else Gauge
    return kind(name, metric.text, metric.labels, registry=registry)


def _remove(metrics: Mapping[str, Any], **labels: str) -> None:
    for name, metric in metrics.items():
        if labels.keys() <= set(METRICS[name].labels):
            metric.remove_by_labels(labels)
