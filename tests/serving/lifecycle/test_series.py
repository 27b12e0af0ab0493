"""The series of versions that come and go beside callers who never stop asking for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import simam_version
from fovea.contract.errors import NotReady
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.repository import model_folder
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.lifecycle.model_swap import ModelSwap
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.served_version import BatchDefaults
from fovea.serving.lifecycle.version_loader import VersionLoader
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.recorder import Recorder
from fovea.serving.observability.telemetry import Telemetry
from servers import samples

MODEL = "simam"


class AskedInBetween(Telemetry):
    """A caller asks for the version whenever its series have just been made, or taken away."""

    ask: Callable[[], None]

    def recorder(self, *given: Any) -> Recorder:
        made = super().recorder(*given)
        self.ask()
        return made

    def retire(self, recorder: Recorder) -> None:
        super().retire(recorder)
        self.ask()


def attentions_told(telemetry: Telemetry) -> set[str]:
    """The attention types in the model's series."""
    found = [dict(labels) for _, labels in samples(telemetry.text().decode())]
    return {labels["attention"] for labels in found if labels.get("model") == MODEL}


def test_requests_that_come_during_a_load_or_an_unload_leave_no_series_behind(tmp_path: Path) -> None:
    simam_version.write_version(tmp_path / MODEL / "1")
    models, telemetry = Models(), AskedInBetween()
    refused = []

    def ask() -> None:
        try:
            models.ready(MODEL, "1")
        except NotReady as error:
            refused.append(str(error))
            telemetry.unready_request(MODEL, "1", lambda: models.is_unready(MODEL, "1"))

    telemetry.ask = ask
    loader = VersionLoader(LoadSettings(), BatchDefaults(0.0, QueueLimit()), telemetry, AttentionSampler(0))
    swap = ModelSwap(models, loader, lambda *_: None, lambda _: None)
    swap.follow(model_folder(tmp_path / MODEL))
    assert attentions_told(telemetry) == {"simam"}
    for thread in swap.unload(MODEL):
        thread.join()
    assert attentions_told(telemetry) == set()
    assert ["LOADING" in refused[0], "UNLOADING" in refused[1]] == [True, True]


def test_a_request_that_is_counted_after_its_version_has_gone_is_stray() -> None:
    telemetry = Telemetry()
    telemetry.unready_request(MODEL, "1", lambda: False)
    assert attentions_told(telemetry) == set()
    labels = frozenset({"attention": "unknown", "model": "_unknown", "version": "", "outcome": "invalid"}.items())
    assert samples(telemetry.text().decode())["fovea_requests_total", labels] == 1


def test_requests_for_a_version_that_is_not_ready_are_not_the_baselines() -> None:
    telemetry = Telemetry()
    telemetry.unready(MODEL, "1")
    telemetry.unready_request(MODEL, "1", lambda: True)
    version = {"attention": "unknown", "model": MODEL, "version": "1"}
    found = samples(telemetry.text().decode())
    assert found["fovea_model_ready", frozenset(version.items())] == 0
    assert found["fovea_requests_total", frozenset({**version, "outcome": "rejected"}.items())] == 1
