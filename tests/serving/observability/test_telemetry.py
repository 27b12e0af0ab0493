"""The series of a version follow its life."""

from __future__ import annotations

from dataclasses import replace

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
