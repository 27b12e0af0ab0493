"""What does each attention type cost? Time inside attention, and what a row costs with all that is around it."""

from __future__ import annotations

from grafana.panels import Page, Panel
from grafana.queries import mean, per_second, quantile

_OP, _STAGE, _ROWS = "fovea_attention_op_seconds", "fovea_batch_compute_seconds", "fovea_rows_total"


def _inside(share: float) -> Panel:
    name = f"p{share * 100:.0f}"
    return Panel(f"Inside attention in a batch, {name}", "s", {"{{attention}}": quantile(share, _OP, "attention")})


WHAT_ATTENTION_COSTS = Page(
    "fovea-attention",
    "Fovea: what does each attention type cost?",
    "Time inside attention by type and operator, and what a row costs the models of each type.",
    {
        "Inside attention": tuple(map(_inside, (0.5, 0.95, 0.99))),
        "By operator": (
            Panel(
                "Inside an operator in a batch, mean", "s", {"{{attention}}, {{op}}": mean(_OP, "attention", "op")}, 12
            ),
            Panel(
                "Batches that were timed",
                "cps",
                {"{{attention}}, {{kernels}}": per_second(_OP, "attention", "kernels", part="_count")},
                12,
            ),
        ),
        "The models of each type": (
            Panel("Rows", "rowsps", {"{{attention}}": per_second(_ROWS, "attention", outcome="ok")}),
            Panel(
                "A worker's time for a row",
                "s",
                {
                    "{{attention}}": f"{per_second(_STAGE, 'attention', part='_sum')} / "
                    f"{per_second('fovea_batch_rows', 'attention', part='_sum')}"
                },
            ),
            Panel(
                "Latency, p99",
                "s",
                {"{{attention}}": quantile(0.99, "fovea_request_duration_seconds", "attention", outcome="ok")},
            ),
        ),
    },
)
