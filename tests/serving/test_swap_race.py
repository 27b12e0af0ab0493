"""A request that looks a version up in the very moment when it is swapped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adding_models import MODEL, X, write_version
from fovea import wire
from fovea.runtime.loading import LoadSettings
from fovea.runtime.repository import model_folder
from fovea.serving.attention_sampler import AttentionSampler
from fovea.serving.model_swap import ModelSwap
from fovea.serving.models import Models
from fovea.serving.pipeline import QueueLimit
from fovea.serving.served_version import BatchDefaults, ServedVersion
from fovea.serving.servicer import Servicer
from fovea.serving.telemetry import Telemetry
from fovea.serving.version_loader import VersionLoader
from servers import infer_request


class SwappedOnLookUp(Models):
    """Lets the version end that it has just handed out, once."""

    def __init__(self) -> None:
        super().__init__()
        self.swap = lambda: None

    def ready(self, name: str, version: str) -> ServedVersion:
        found = super().ready(name, version)
        swap, self.swap = self.swap, lambda: None
        swap()
        return found


class FakeCall:
    """Keeps what its caller would get."""

    deadline_s = None
    gone = False

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Any = None
        self.error = ""

    def watch(self) -> None:
        pass

    def finish(self, body: bytes) -> None:
        self.answer = wire.message("ModelInferResponse").FromString(body)
        self.done.set()

    def refuse(self, code: Any, text: str) -> None:
        self.error = f"{code}: {text}"
        self.done.set()


@pytest.mark.parametrize("version", [1, 2])
def test_it_is_answered_by_the_successor(tmp_path: Path, version: int) -> None:
    models, telemetry, sampler = SwappedOnLookUp(), Telemetry(), AttentionSampler(0)
    loader = VersionLoader(LoadSettings(), BatchDefaults(0.0, QueueLimit()), telemetry, sampler)
    swap = ModelSwap(models, loader, lambda *_: None, lambda _: None)
    servicer = Servicer(models, None, telemetry, {})  # type: ignore[arg-type]
    write_version(tmp_path, 10)
    swap.follow(model_folder(tmp_path / MODEL))
    old = models.ready(MODEL, "")

    def change() -> None:
        write_version(tmp_path, 20, version)
        swap.follow(model_folder(tmp_path / MODEL))
        old.pipeline.close()

    models.swap = change
    call = FakeCall()
    servicer.infer(call, infer_request(MODEL, X))
    assert call.done.wait(20)
    assert call.error == ""
    assert (np.frombuffer(call.answer.raw_output_contents[0], np.float32) == X[0] + 20).all()
    assert call.answer.model_version == str(version)
    models.close()
    assert sampler.close(20)
