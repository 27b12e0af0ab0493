"""A model version's statistics, as the protocol names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.observability.statistics import BatchTotals, Total, VersionTotals


def model_statistics(served: Iterable[ServedVersion]) -> dict[str, Any]:
    """ModelStatisticsResponse: `inference_count` counts rows, `execution_count` batches."""
    return {"model_stats": [_statistics(version, version.statistics.read()) for version in served]}


def _statistics(served: ServedVersion, totals: VersionTotals) -> dict[str, Any]:
    return {
        "name": served.card.name,
        "version": served.version,
        "last_inference": totals.last_inference_ms,
        "inference_count": totals.inference_count,
        "execution_count": totals.execution_count,
        "inference_stats": {
            "success": _total(totals.success),
            "fail": _total(totals.fail),
            "queue": _total(totals.queue),
            **_compute(totals.compute),
            "cache_hit": _total(totals.cache_hit),
            "cache_miss": _total(totals.cache_miss),
        },
        "batch_stats": [{"batch_size": rows, **_compute(of_rows)} for rows, of_rows in sorted(totals.by_rows.items())],
        "memory_usage": [],
        "response_stats": {},
    }


def _compute(totals: BatchTotals) -> dict[str, Any]:
    return {
        "compute_input": _total(totals.compute_input),
        "compute_infer": _total(totals.compute_infer),
        "compute_output": _total(totals.compute_output),
    }


def _total(total: Total) -> dict[str, int]:
    return {"count": total.count, "ns": total.ns}
