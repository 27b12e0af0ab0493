"""Where does time go? The stages of a request, attention's share of them, and what runs it."""

from __future__ import annotations

from grafana.panels import Page, Panel
from grafana.queries import mean, per_second, quantile, series, total

_STAGE, _QUEUE, _OP = "fovea_batch_compute_seconds", "fovea_queue_duration_seconds", "fovea_attention_op_seconds"
_STAGES = ("gather", "run", "split")
_WARM_UP = f"max by (model, rows, length) ({series('fovea_batch_cost_seconds')})"


def _mean_in_batch(model: str) -> str:
    """Seconds inside attention in a batch, over its operators: where bodies run it is known of sampled batches only."""
    return f"sum by ({model}) ({mean(_OP, model, 'op')})"


WHERE_DOES_TIME_GO = Page(
    "fovea-time",
    "Fovea: where does time go?",
    "Queue, gather, run and split; the share of attention in a run; fused kernels or plain bodies; batches by size.",
    {
        "Stages": (
            Panel(
                "A request's time, mean",
                "s",
                {"queue": mean(_QUEUE), **{stage: mean(_STAGE, stage=stage) for stage in _STAGES}},
                12,
                "stacked",
            ),
            Panel(
                "A request's time, p99",
                "s",
                {"queue": quantile(0.99, _QUEUE), "{{stage}}": quantile(0.99, _STAGE, "stage")},
                12,
            ),
        ),
        "Of each model": (
            Panel("Wait for a batch, mean", "s", {"{{model}}": mean(_QUEUE, "model")}),
            Panel("Run, mean", "s", {"{{model}}": mean(_STAGE, "model", stage="run")}),
            Panel(
                "Share of a worker's time in use",
                "percentunit",
                {"{{model}}": f"avg by (model) ({per_second(_STAGE, 'model', 'instance', part='_sum')})"},
            ),
        ),
        "Attention": (
            Panel(
                "Share of attention in a run",
                "percentunit",
                {"{{model}}": f"{_mean_in_batch('model')} / ({mean(_STAGE, 'model', stage='run')})"},
            ),
            Panel("Attention in a batch, by what runs it", "s", {"{{op}}, {{kernels}}": mean(_OP, "op", "kernels")}),
            Panel("Versions by what runs attention", "none", {"{{kernels}}": total("fovea_model_info", "kernels")}),
        ),
        "Batches": (
            Panel("Batches", "cps", {"{{outcome}}": per_second("fovea_batches_total", "outcome")}, 6),
            Panel("Rows in a batch, p95", "none", {"{{model}}": quantile(0.95, "fovea_batch_rows", "model")}, 6),
            Panel(
                "Batches that warm-up did not run",
                "cps",
                {"{{model}}": per_second("fovea_unwarmed_batches_total", "model")},
                6,
            ),
            Panel(
                "What a batch took at warm-up",
                "s",
                {"{{model}}, {{rows}} rows {{length}}": _WARM_UP},
                6,
            ),
        ),
        "Response cache": (
            Panel("Look-ups", "cps", {"{{result}}": per_second("fovea_cache_lookups_total", "result")}, 12, "stacked"),
            Panel("What it holds", "bytes", {"bytes": total("fovea_cache_bytes")}, 12),
        ),
    },
)
