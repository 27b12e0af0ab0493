"""A version's totals count requests, rows and batches apart, and nothing that did not fit the model."""

from __future__ import annotations

import pytest

from fovea.serving.engines.ran_batch import RanBatch, Stages
from fovea.serving.observability.statistics import Statistics, Total


def test_a_batch_counts_its_rows_once_and_its_times_for_each_request() -> None:
    statistics = Statistics()
    stages = Stages(1.0, 1.001, 1.021, 1.321)
    statistics.batches([RanBatch([2, 3], [0.75, 0.5], ["ok", "ok"], stages, {}, 0.0)])
    totals = statistics.read()
    assert (totals.inference_count, totals.execution_count) == (5, 1)
    assert totals.queue == Total(2, 750_000_000)
    compute, of_five = totals.compute, totals.by_rows[5]
    assert [compute.compute_input.ns, compute.compute_infer.ns, compute.compute_output.ns] == pytest.approx(
        [2_000_000, 40_000_000, 600_000_000], abs=1
    )
    assert compute.compute_infer.count == 2
    assert (of_five.compute_infer.count, of_five.compute_infer.ns) == (1, 20_000_000)


def test_requests_that_did_not_fit_the_model_are_none_of_its_failures() -> None:
    statistics = Statistics()
    statistics.requests("ok", [0.25, 0.25], 2)
    statistics.requests("invalid", [1.0], 1)
    statistics.requests("deadline", [0.5], 1)
    totals = statistics.read()
    assert (totals.success, totals.fail) == (Total(2, 500_000_000), Total(1, 500_000_000))
    assert totals.failures == {"deadline": 1}
