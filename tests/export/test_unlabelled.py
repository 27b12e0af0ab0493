"""An exported module whose attention is not Fovea's own is labelled unknown, with a warning; a plain one is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fovea.attention.simam import SimAM
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import ModelCard
from fovea.export.version import export_version
from fovea.recipes.subject import Subject


class Gated(nn.Module):
    """Squeeze and excitation with an activation that no rule knows."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(4, 2, 1), nn.GELU(), nn.Conv2d(2, 4, 1))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), *layers, nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


def classifier(*layers: nn.Module) -> nn.Module:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(-1))
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, *head)


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], AttentionType, bool]] = {
    "encoder": (encoder, (5, 8), AttentionType.UNKNOWN, True),
    "gated": (lambda: classifier(Gated()), (1, 8, 8), AttentionType.UNKNOWN, True),
    "beside": (lambda: classifier(Gated(), SimAM()), (1, 8, 8), AttentionType.SIMAM, True),
    "own": (lambda: classifier(SimAM()), (1, 8, 8), AttentionType.SIMAM, False),
    "plain": (lambda: classifier(nn.BatchNorm2d(4), nn.SiLU(), nn.Hardswish()), (1, 8, 8), AttentionType.NONE, False),
}


def rows(shape: tuple[int, ...], count: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(count).standard_normal((count, *shape)).astype(np.float32)}


@pytest.mark.parametrize("name", MODULES)
def test_the_label_is_honest_and_what_is_not_recognised_is_told(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, shape, label, warned = MODULES[name]
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING):
        folder = export_version(Subject(name, make().eval(), partial(rows, shape), ("y",)), tmp_path)
    assert ModelCard.read(folder / "card.json").attention is label
    said = [line for line in caplog.messages if "looks like attention and is not recognised" in line]
    assert [line.startswith(f"{name}: attention={label}: ") for line in said] == [True] * warned
