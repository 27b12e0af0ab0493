"""From a version's folder to a served version: what others see of it on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adding_models import MODEL, write_version
from fovea.contract.errors import ModelBroken
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.repository import model_folder
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.lifecycle.served_version import BatchDefaults
from fovea.serving.lifecycle.version_loader import VersionLoader
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.recorder import Recorder
from fovea.serving.observability.telemetry import Telemetry


class ScrapedAtOnce(Telemetry):
    """Is scraped in the very moment when a version's series appear."""

    scrape = b""

    def recorder(self, *given: Any) -> Recorder:
        made = super().recorder(*given)
        self.scrape = self.text()
        return made


def loader(telemetry: Telemetry) -> VersionLoader:
    return VersionLoader(LoadSettings(), BatchDefaults(0.0, QueueLimit()), telemetry, AttentionSampler(0))


def test_a_scrape_while_a_version_is_being_loaded_is_answered(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    telemetry = ScrapedAtOnce()
    loader(telemetry).load(model_folder(tmp_path / MODEL), "1").close()
    assert f'fovea_waiting_requests{{attention="none",model="{MODEL}",version="1"}} 0.0' in telemetry.scrape.decode()


def test_a_version_whose_workers_cannot_be_started_leaves_no_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_workers(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("fovea.serving.lifecycle.served_version.start_batching", no_workers)
    write_version(tmp_path, 10)
    telemetry = Telemetry()
    with pytest.raises(ModelBroken, match="RuntimeError while loading"):
        loader(telemetry).load(model_folder(tmp_path / MODEL), "1")
    assert f'model="{MODEL}"' not in telemetry.text().decode()
