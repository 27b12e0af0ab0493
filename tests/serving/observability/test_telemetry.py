"""The series of a version follow its life."""

from __future__ import annotations

from dataclasses import replace

from fovea.serving.observability.recorder import ModelLabels
from fovea.serving.observability.telemetry import Telemetry
from servers import samples

LABELS = ModelLabels("m", "1", "none", "none", "", "CPUExecutionProvider", "0" * 64, {})


def costs(telemetry: Telemetry) -> list[tuple[str, str]]:
    """Length and rows of every batch cost that is told."""
    found = samples(telemetry.text().decode())
    told = [dict(labels) for name, labels in found if name == "fovea_batch_cost_seconds"]
    return [(one["length"], one["rows"]) for one in told]


def test_newer_files_of_a_version_leave_no_batch_cost_of_the_older_ones() -> None:
    telemetry = Telemetry()
    older = telemetry.recorder(LABELS, lambda: 0)
    older.batch_cost([(8, 1, 0.001), (16, 1, 0.002)])
    newer = telemetry.recorder(replace(LABELS, sha256="1" * 64), lambda: 0)
    newer.batch_cost([(8, 1, 0.001)])
    telemetry.retire(older)
    assert costs(telemetry) == [("8", "1")]
    telemetry.retire(newer)
    assert costs(telemetry) == []
