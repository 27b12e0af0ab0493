"""A model version's statistics, as the protocol tells them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.observability.statistics import BatchTotals, Total, VersionTotals
from fovea.wire import message


def model_statistics(served: Iterable[ServedVersion]) -> Any:
    """ModelStatisticsResponse: `inference_count` counts rows, `execution_count` batches."""
    response = message("ModelStatisticsResponse")()
    for version in served:
        _fill_statistics(response.model_stats.add(), version, version.statistics.read())
    return response


def _fill_statistics(stats: Any, served: ServedVersion, totals: VersionTotals) -> None:
    stats.name, stats.version = served.card.name, served.version
    stats.last_inference = totals.last_inference_ms
    stats.inference_count, stats.execution_count = totals.inference_count, totals.execution_count
    for name in ("success", "fail", "queue", "cache_hit", "cache_miss"):
        _fill_total(getattr(stats.inference_stats, name), getattr(totals, name))
    _fill_compute(stats.inference_stats, totals.compute)
    for rows, of_rows in sorted(totals.by_rows.items()):
        batch = stats.batch_stats.add(batch_size=rows)
        _fill_compute(batch, of_rows)


def _fill_compute(target: Any, totals: BatchTotals) -> None:
    for name in ("compute_input", "compute_infer", "compute_output"):
        _fill_total(getattr(target, name), getattr(totals, name))


def _fill_total(target: Any, total: Total) -> None:
    target.count, target.ns = total.count, total.ns
