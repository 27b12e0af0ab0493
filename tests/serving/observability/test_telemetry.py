"""The series of a version follow its life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fovea.serving.engines.ran_batch import RanBatch, Stages
from fovea.serving.observability.recorder import ModelLabels
from fovea.serving.observability.telemetry import Telemetry
from servers import samples, total

LABELS = ModelLabels("m", "1", "none", "none", "", "CPUExecutionProvider", "0" * 64, {})


def costs(telemetry: Telemetry) -> list[tuple[str, str]]:
    """Length and rows of every batch cost that is told."""
    found = samples(telemetry.text().decode())
    told = [dict(labels) for name, labels in found if name == "fovea_batch_cost_seconds"]
    return [(one["length"], one["rows"]) for one in told]


def test_newer_files_of_a_version_leave_no_batch_cost_of_the_older_ones() -> None:
    telemetry = Telemetry()
    older = telemetry.recorder(LABELS, lambda: 0)
    older.batch_cost([("8", 1, 0.001), ("16", 1, 0.002)])
    newer = telemetry.recorder(replace(LABELS, sha256="1" * 64), lambda: 0)
    newer.batch_cost([("8", 1, 0.001)])
    telemetry.retire(older)
    assert costs(telemetry) == [("8", "1")]
    telemetry.retire(newer)
    assert costs(telemetry) == []


def test_a_batch_is_told_as_it_was() -> None:
    telemetry = Telemetry()
    recorder = telemetry.recorder(replace(LABELS, attention_of_op={"SimAM": "simam"}), lambda: 0)
    stages = Stages(1.0, 1.001, 1.021, 1.321)
    recorder.batches([RanBatch([2, 3], [0.99, 0.96], ["ok", "ok"], stages, {"SimAM": 0.004}, 0.25)])
    recorder.requests("ok", [0.5, 0.7], 5)
    found = samples(telemetry.text().decode())
    stages = {
        stage: round(total(found, "fovea_batch_compute_seconds_sum", stage=stage), 9)
        for stage in ("gather", "run", "split")
    }
    assert stages == {"gather": 0.001, "run": 0.02, "split": 0.3}
    sums = ("fovea_batch_rows", "fovea_padding_ratio", "fovea_queue_duration_seconds", "fovea_request_duration_seconds")
    assert [round(total(found, f"{name}_sum"), 9) for name in sums] == [5, 0.25, 0.05, 1.2]
    assert [total(found, f"{name}_count") for name in sums] == [1, 1, 2, 2]
    assert total(found, "fovea_attention_op_seconds_sum", op="SimAM", attention="simam", kernels="fused") == 0.004
    counters = ("fovea_requests_total", "fovea_rows_total", "fovea_batches_total")
    assert [total(found, name, outcome="ok") for name in counters] == [2, 5, 1]


@pytest.mark.parametrize(("cause", "counted"), [("failed", 1), ("slower", 1), ("off", 0), ("not_needed", 0), ("", 0)])
def test_a_body_that_runs_where_a_kernel_was_wanted_is_counted_by_its_cause(cause: str, counted: int) -> None:
    telemetry = Telemetry()
    name = "fovea_kernel_fallbacks_total"
    assert (name, frozenset({("reason", "failed")})) in samples(telemetry.text().decode())  # a first one is a rise
    telemetry.recorder(replace(LABELS, kernels="body", kernels_cause=cause), lambda: 0)
    found = samples(telemetry.text().decode())
    assert total(found, name) == total(found, name, reason=cause) == counted


def test_a_model_that_nobody_asks_has_few_series_and_those_that_an_increase_is_seen_in() -> None:
    telemetry = Telemetry()
    telemetry.recorder(LABELS, lambda: 0)
    found = [name for name, labels in samples(telemetry.text().decode()) if ("model", "m") in labels]
    assert {*found} == {
        *("fovea_requests_total", "fovea_batches_total", "fovea_unwarmed_batches_total"),
        *("fovea_waiting_requests", "fovea_model_ready", "fovea_model_info"),
    }
    assert len(found) == 12


def test_a_series_that_would_begin_after_its_version_has_gone_does_not() -> None:
    telemetry = Telemetry()
    recorder = telemetry.recorder(replace(LABELS, attention_of_op={"SimAM": "simam"}), lambda: 0)
    telemetry.retire(recorder)
    recorder.requests("ok", [0.1], 1)
    recorder.attention_op("SimAM", "body", 0.1)
    recorder.cache_lookup("hit")
    assert not [1 for _, labels in samples(telemetry.text().decode()) if ("model", "m") in labels]


def test_latencies_have_the_buckets_that_were_chosen_and_sizes_their_own() -> None:
    telemetry = Telemetry((0.5, 2.0))
    recorder = telemetry.recorder(LABELS, lambda: 0)
    recorder.batches([RanBatch([2], [0.99], ["ok"], Stages(1.0, 1.001, 1.021, 1.321), {}, 0.25)])
    recorder.requests("ok", [0.7], 2)
    found = samples(telemetry.text().decode())

    def bounds(name: str) -> list[str]:
        return [dict(labels)["le"] for metric, labels in found if metric == f"{name}_bucket"]

    assert bounds("fovea_request_duration_seconds") == bounds("fovea_queue_duration_seconds") == ["0.5", "2.0", "+Inf"]
    assert len(bounds("fovea_batch_rows")) == 12


def test_buckets_that_the_alerts_cannot_use_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Telemetry()
    assert caplog.messages == []
    Telemetry((0.05, 0.2))
    assert caplog.messages == ["latency_buckets_s lacks 0.1: the alerts on slow answers that ship will never fire"]
