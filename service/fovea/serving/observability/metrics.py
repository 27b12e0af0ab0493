"""Every metric of `/metrics`: name, kind, words, labels, buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_MODEL = ("model", "version", "attention")
LATENCY_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
OBJECTIVE_S = 0.1
"""What the alerts that ship ask the latency histograms for (deploy/prometheus/rules/objectives.yml)."""
OP_BUCKETS_S = (0.00001, 0.000025, 0.00005, *LATENCY_BUCKETS_S[:-3])
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
PADDING_BUCKETS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Metric:
    """One metric's definition."""

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] | None = None
    """None: those of latencies, which are a setting."""


METRICS: dict[str, Metric] = {
    "fovea_request_duration_seconds": Metric(
        "histogram", "From a request's arrival to its answer.", (*_MODEL, "outcome")
    ),
    "fovea_queue_duration_seconds": Metric("histogram", "What a request waited for its batch to start.", _MODEL),
    "fovea_batch_compute_seconds": Metric("histogram", "What a batch took, by stage.", (*_MODEL, "stage")),
    "fovea_attention_op_seconds": Metric(
        "histogram",
        "Time inside an attention operator in one batch, over all its layers: every batch where a kernel runs it, "
        "sampled batches where its body does.",
        (*_MODEL, "op", "kernels"),
        OP_BUCKETS_S,
    ),
    "fovea_batch_rows": Metric("histogram", "Rows in a batch.", _MODEL, ROW_BUCKETS),
    "fovea_padding_ratio": Metric("histogram", "Share of a batch's elements that is padding.", _MODEL, PADDING_BUCKETS),
    "fovea_requests_total": Metric(
        "counter",
        "Requests ended. One whose caller left during a batch of a few milliseconds may count as ok.",
        (*_MODEL, "outcome"),
    ),
    "fovea_rows_total": Metric("counter", "Rows of requests ended.", (*_MODEL, "outcome")),
    "fovea_batches_total": Metric("counter", "Batches run.", (*_MODEL, "outcome")),
    "fovea_batch_cost_seconds": Metric(
        "gauge",
        "What a batch of so many rows, padded to this length, or these, where the model has some, took at warm-up.",
        (*_MODEL, "rows", "length"),
    ),
    "fovea_unwarmed_batches_total": Metric(
        "counter", "Batches of a shape, or larger than a size, that warm-up did not run.", _MODEL
    ),
    "fovea_cache_lookups_total": Metric(
        "counter",
        "Requests whose answer was looked for in the response cache, of models that have one.",
        (*_MODEL, "result"),
    ),
    "fovea_cache_bytes": Metric("gauge", "What the response cache holds, over all models."),
    "fovea_waiting_requests": Metric("gauge", "Requests in the queue now.", _MODEL),
    "fovea_model_ready": Metric("gauge", "1 while the version answers requests, else 0.", _MODEL),
    "fovea_model_info": Metric(
        "gauge",
        "Always 1; the labels tell, kernels_cause why a body runs where a kernel might.",
        (*_MODEL, "kernels", "kernels_cause", "provider", "sha256"),
    ),
    "fovea_grpc_faults_total": Metric(
        "counter", "Events of gRPC that could not be handled; the log has each one's traceback."
    ),
    "fovea_kernel_fallbacks_total": Metric(
        "counter",
        "Versions loaded whose attention runs, wholly or in part, from plain ONNX bodies although kernels were wanted.",
        ("reason",),
    ),
    "fovea_log_lines_lost_total": Metric(
        "counter", "Log lines that could not be written: their reader was too slow or gone, or the disk was full."
    ),
    "fovea_certificate_expiry_timestamp_seconds": Metric(
        "gauge", "When the first certificate of a TLS file ends, as Unix time; without TLS there is none.", ("file",)
    ),
    "fovea_server_info": Metric("gauge", "Always 1; the labels tell.", ("server_version",)),
}
UNKNOWN_MODEL = ("_unknown", "", "unknown")
"""Labels for requests that name no model of this server: a caller's texts never become labels."""
