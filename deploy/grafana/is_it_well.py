"""Is it well? What whoever is called at night looks at first."""

from __future__ import annotations

from grafana.panels import Page, Panel
from grafana.queries import mean, per_second, quantile, series, total

_DURATION, _REQUESTS = "fovea_request_duration_seconds", "fovea_requests_total"
_OURS = "~failed|rejected|deadline"
"""Outcomes that are the server's fault, or its load's."""
_JUDGED = "~ok|failed|rejected|deadline"


def _latency(share: float) -> Panel:
    name = f"p{share * 100:.0f}"
    return Panel(f"Latency, {name}", "s", {"{{attention}}": quantile(share, _DURATION, "attention", outcome="ok")})


def _failing(*by: str) -> str:
    return f"{per_second(_REQUESTS, *by, outcome=_OURS)} / {per_second(_REQUESTS, *by, outcome=_JUDGED)}"


IS_IT_WELL = Page(
    "fovea-well",
    "Fovea: is it well?",
    "Readiness, rate, errors and latency by attention type; queues, batches, padding; what else deserves a look.",
    {
        "Now": (
            Panel("Versions ready", "none", {"ready": total("fovea_model_ready")}, 4, "number"),
            Panel(
                "Versions not ready",
                "none",
                {"not": f"count({series('fovea_model_ready')} == 0) or vector(0)"},
                4,
                "number",
            ),
            Panel("Requests a second", "reqps", {"requests": per_second(_REQUESTS)}, 4, "number"),
            Panel("Requests that failed", "percentunit", {"failed": _failing()}, 4, "number"),
            Panel("Latency, p99", "s", {"p99": quantile(0.99, _DURATION, outcome="ok")}, 4, "number"),
            Panel("Requests waiting", "none", {"waiting": total("fovea_waiting_requests")}, 4, "number"),
        ),
        "Requests": (
            Panel("Requests", "reqps", {"{{attention}}": per_second(_REQUESTS, "attention")}),
            Panel("How they ended", "reqps", {"{{outcome}}": per_second(_REQUESTS, "outcome")}, shown="stacked"),
            Panel("Share that failed", "percentunit", {"{{attention}}": _failing("attention")}),
        ),
        "Latency by attention type": tuple(map(_latency, (0.5, 0.95, 0.99))),
        "Queues and batches": (
            Panel("Requests waiting", "none", {"{{model}}": total("fovea_waiting_requests", "model")}, 6),
            Panel(
                "Wait for a batch, p95",
                "s",
                {"{{attention}}": quantile(0.95, "fovea_queue_duration_seconds", "attention")},
                6,
            ),
            Panel("Rows in a batch, mean", "none", {"{{model}}": mean("fovea_batch_rows", "model")}, 6),
            Panel("Padding, mean share", "percentunit", {"{{model}}": mean("fovea_padding_ratio", "model")}, 6),
        ),
        "What else deserves a look": (
            Panel(
                "Kernels that fell back, at load",
                "none",
                {"{{reason}}": total("fovea_kernel_fallbacks_total", "reason")},
                6,
            ),
            Panel("Log lines lost", "cps", {"lost": per_second("fovea_log_lines_lost_total")}, 6),
            Panel(
                "Until the certificate ends",
                "s",
                {"{{file}}": f"min by (file) ({series('fovea_certificate_expiry_timestamp_seconds')}) - time()"},
                6,
            ),
            Panel("Faults of gRPC", "cps", {"faults": per_second("fovea_grpc_faults_total")}, 6),
        ),
    },
)
