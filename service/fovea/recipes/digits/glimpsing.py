"""The recipe of a network that finds a digit by glimpses, trained by reward (Mnih et al. 2014, arXiv:1406.6247).

The network answers after each glimpse, with p for the right class. The reward of a place is what it and the later ones
add to p, each later one counting half of the one before it:
loss = cross entropy (of the last answer + of the earlier ones' mean) + (reward - baseline)²
       - 0.3 Σ (reward - baseline) log p(place).
Only the last term, REINFORCE, teaches where to look.
Differs from the paper: there the reward is 1 where the last answer is right, else 0, for all places of a path alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import Preprocessing
from fovea.inputs.picture_steps import pixel_rows
from fovea.networks.recurrent_attention import RecurrentAttention, Rollout
from fovea.recipes.digits.scenes import SIDE, cluttered, translated
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

IMAGE, SEED, LOGITS, PATH = "image", "seed", "logits", "attention.glimpses"
PREPROCESSING = Preprocessing(mode="L", height=SIDE, width=SIDE, mean=(0.0,), std=(0.2,))
"""Black is 0, as is what lies outside of a picture; 0.2 is the deviation where a digit is."""
_REWARD_WEIGHT = 0.3
_EXPLORATION = 0.2
"""Deviation of the places while training: with less of it, rewards hardly differ. Served, the network deviates less."""
_LATER = 0.5
"""What a later gain counts, beside one a glimpse earlier."""
_CLUTTERED_SHARE = 0.5
_TEST_SEED = 1
_EVALUATION_ROWS = 500


@dataclass(frozen=True)
class Glimpsing:
    """The network takes pictures (N, 1, 60, 60) and seeds (N), and gives logits and the path of its glimpses."""

    name: str
    make: Callable[[], RecurrentAttention]
    schedule: Schedule
    load: Callable[[], ImageDataset]
    attention: AttentionType = AttentionType.HARD_SAMPLE
    seed: int = 0

    def data(self) -> ImageDataset:
        """Grey digits, smaller than a scene."""
        return self.load()

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        return self.make()

    def loss(self, module: nn.Module, data: ImageDataset, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Of new scenes with the chosen digits, half of them cluttered, along paths drawn at random."""
        assert isinstance(module, RecurrentAttention)
        digits = torch.from_numpy(data.train_images[chosen.numpy()])
        scenes = translated(digits, generator)
        clear = int(len(scenes) * (1 - _CLUTTERED_SHARE))
        scenes[clear:] = cluttered(scenes[clear:], digits, generator)
        noise = torch.randn(len(scenes), module.glimpses - 1, 2, generator=generator) * _EXPLORATION
        rollout = module.rollout(_rows(scenes), noise)
        return hybrid_loss(rollout, torch.from_numpy(data.train_labels[chosen.numpy()]), noise / _EXPLORATION**2)

    def evaluation(self, module: nn.Module, data: ImageDataset) -> Mapping[str, float]:
        """The share of the test digits that are told right, each in a scene of its own: alone, and among clutter."""
        alone, among = scenes_of(data.test_images)
        return {
            "accuracy": _accuracy(module, alone, data.test_labels),
            "accuracy_cluttered": _accuracy(module, among, data.test_labels),
        }

    def subject(self, trained: Trained, data: ImageDataset) -> Subject:
        """The network with the first test digits, each in its scene, as its rows."""
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data),
            output_names=(LOGITS, PATH),
            attention=self.attention,
            labels=tuple(map(str, range(10))),
            input_steps={IMAGE: PREPROCESSING.steps},
            metrics=trained.metrics,
            training=trained.training,
        )

    def facts(self) -> Mapping[str, Any]:
        """Attention, reward and clutter."""
        return {
            "attention": self.attention,
            "reward": _REWARD_WEIGHT,
            "later": _LATER,
            "exploration": _EXPLORATION,
            "cluttered": _CLUTTERED_SHARE,
        }

    def _test_rows(self, data: ImageDataset, rows: int) -> dict[str, NDArray[Any]]:
        alone = scenes_of(data.test_images)[0][:rows]
        return {IMAGE: _rows(alone).numpy(), SEED: np.arange(len(alone))}


def hybrid_loss(rollout: Rollout, labels: Tensor, steering: Tensor) -> Tensor:
    """`steering` (N, glimpses - 1, 2): the gradient of log p(place) by its mean, (place - mean) / deviation²."""
    chosen = labels[:, None, None].expand(-1, rollout.logits.shape[1], 1)
    right = rollout.logits.log_softmax(-1).gather(-1, chosen)[..., 0]  # (N, glimpses): log p of the right class
    reward = rewards(right.detach().exp())
    advantage = reward - rollout.baselines.detach()  # (N, glimpses - 1)
    looked = (advantage[..., None] * steering * rollout.means).sum((1, 2)).mean()
    answered = right[:, -1].mean() + right[:, :-1].mean()
    return F.mse_loss(rollout.baselines, reward) - answered - _REWARD_WEIGHT * looked


def rewards(right: Tensor) -> Tensor:
    """(N, glimpses), p of the right class after each glimpse -> (N, glimpses - 1), the reward of each place."""
    gains = right.diff(dim=1)
    later = torch.arange(gains.shape[1])
    weights = _LATER ** (later[:, None] - later).clamp(min=0) * (later[:, None] >= later)  # (gained at, looked at)
    return gains @ weights.to(gains.dtype)


def scenes_of(digits: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Each digit at a place of its own, always the same one: alone, and among clutter."""
    generator = torch.Generator().manual_seed(_TEST_SEED)
    images = torch.tensor(digits)
    alone = translated(images, generator)
    return alone, cluttered(alone, images, generator)


def _accuracy(module: nn.Module, scenes: Tensor, labels: NDArray[np.int64]) -> float:
    right = 0
    with torch.no_grad():
        for first in range(0, len(scenes), _EVALUATION_ROWS):
            part = slice(first, first + _EVALUATION_ROWS)
            logits, _ = module(_rows(scenes[part]), torch.arange(first, first + len(scenes[part])))
            right += int((logits.argmax(1) == torch.from_numpy(labels[part])).sum())
    return right / len(scenes)


def _rows(scenes: Tensor) -> Tensor:
    """(N, SIDE, SIDE) uint8 -> (N, 1, SIDE, SIDE) float32: the very steps that the server does."""
    return torch.from_numpy(pixel_rows(scenes.numpy()[..., None], PREPROCESSING.steps))
