"""What the card and the settings say of CUDA reaches ONNX Runtime; no GPU is needed to see it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from fovea.contract.errors import ModelBroken
from fovea.runtime.device import Device
from fovea.runtime.loading import load_version
from fovea.serving.part_settings import load_settings
from fovea.serving.settings import Settings
from simam_version import write_card, write_version


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The providers that sessions were asked for; none is opened."""
    asked: list[Any] = []

    def opened(*_: Any, providers: list[Any]) -> None:
        asked.append(providers)
        raise RuntimeError("there is no GPU here")

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    return asked


def cuda_options(folder: Path, asked: list[Any], **settings: Any) -> Mapping[str, str]:
    """Loads the version on the second GPU; what its first session was asked for."""
    load = load_settings(Settings(kernels="off", **settings), Device("cuda", 1))
    with pytest.raises(ModelBroken, match="there is no GPU here"):
        load_version(folder, "simam", 1, load)
    (provider, options), fallback = asked[0]
    assert (provider, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    return options


@pytest.mark.parametrize(("allowed", "use_tf32"), [(True, "1"), (False, "0")])
def test_tf32_is_used_where_the_card_allows_it(tmp_path: Path, asked: list[Any], allowed: bool, use_tf32: str) -> None:
    write_version(tmp_path)
    write_card(tmp_path, allow_tf32=allowed)
    options = cuda_options(tmp_path, asked)
    assert (options["device_id"], options["use_tf32"]) == ("1", use_tf32)
    assert "gpu_mem_limit" not in options


def test_the_memory_limit_of_the_settings_is_asked_for_in_bytes(tmp_path: Path, asked: list[Any]) -> None:
    options = cuda_options(write_version(tmp_path), asked, gpu_memory_limit_mb=3)
    assert options["gpu_mem_limit"] == str(3 * 2**20)
