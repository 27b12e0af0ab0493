"""What could not be loaded is tried again where the reason may have passed: ever less often, and with nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adding_models import MODEL, write_version
from fovea.contract.errors import LoadFailed, ModelBroken
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.repository import ModelFolder
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.lifecycle.control_settings import ControlSettings
from fovea.serving.lifecycle.model_control import ModelControl
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.readiness import Readiness
from fovea.serving.lifecycle.retries import Retries
from fovea.serving.lifecycle.served_version import BatchDefaults, ServedVersion
from fovea.serving.lifecycle.version_loader import VersionLoader
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.telemetry import Telemetry

NEVER_S = 3600.0


@dataclass(frozen=True)
class Troubled(VersionLoader):
    """Raises what is in `troubles`, by version, from the last to the first; then loads."""

    troubles: dict[str, list[ModelBroken]]

    def load(self, folder: ModelFolder, version: str) -> ServedVersion:
        if self.troubles.get(version):
            raise self.troubles[version].pop()
        return super().load(folder, version)


@contextmanager
def started(repository: Path, version: str, *troubles: ModelBroken) -> Iterator[tuple[Models, ModelControl]]:
    """Models that were loaded once, and who tries again when told to."""
    models = Models()
    parts = (LoadSettings(), BatchDefaults(0.0, QueueLimit()), Telemetry(), AttentionSampler(0))
    loader = Troubled(*parts, {version: list(troubles)})
    readiness = Readiness("all", models)
    control = ModelControl(ControlSettings(repository, poll_s=NEVER_S), models, loader, lambda *_: None, readiness)
    control.start()
    try:
        yield models, control
    finally:
        control.stop()
        models.close()


def finish(changes: list[threading.Thread]) -> None:
    for thread in changes:
        thread.join()


def reason(models: Models, version: str = "1") -> str:
    return models.entries[MODEL].versions[version].reason


def test_a_passing_failure_is_tried_again_until_it_has_passed(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    with started(tmp_path, "1", LoadFailed("no time again"), LoadFailed("no time")) as (models, control):
        for now_s, told in ((0.0, "no time"), (9.0, "no time"), (10.0, "no time again"), (29.0, "no time again")):
            finish(control.retry(now_s))
            assert reason(models) == told
        finish(control.retry(30.0))
        assert models.ready_versions(MODEL) == ["1"]


def test_what_lies_in_the_files_is_not_tried_again(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    with started(tmp_path, "1", ModelBroken("not the golden answers")) as (models, control):
        for now_s in (0.0, NEVER_S, 2 * NEVER_S):
            finish(control.retry(now_s))
        assert reason(models) == "not the golden answers"


def test_a_version_that_is_ready_at_the_second_try_replaces_the_one_before(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    with started(tmp_path, "2", LoadFailed("no time")) as (models, control):
        write_version(tmp_path, 20, 2)
        finish(control.look())
        finish(control.look())
        finish(control.retry(0.0))
        assert (models.ready_versions(MODEL), reason(models, "2")) == (["1"], "no time")
        finish(control.retry(10.0))
        assert models.ready_versions(MODEL) == ["2"]


def test_tries_get_ever_rarer_and_begin_anew_once_all_was_well() -> None:
    retries, told = Retries(), []
    for now_s in range(4000):
        told += [now_s] * len(retries.due(["m"], now_s))
    assert told == [10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630]
    assert retries.due([], 4000) == []
    assert [retries.due(["m"], now_s) for now_s in (5000, 5009, 5010)] == [[], [], ["m"]]
