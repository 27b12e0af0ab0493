"""What a recipe is: everything that decides a model's weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import nn

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import Preprocessing


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train. The learning rate rises to its peak and falls to nought in one cycle."""

    epochs: int
    batch_rows: int = 128
    peak_learning_rate: float = 4e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    max_shift: int = 0
    """Pixels a training image is moved, at most, each way."""
    flip: bool = False
    """Mirror every second training image, left to right."""
    bfloat16: bool = False
    """Multiply in bfloat16 while training, where the CPU has AVX-512; weights and attention stay float32."""


@dataclass(frozen=True)
class Recipe:
    """One model: its network, seed, schedule and what its input and outputs mean.

    The module takes normalised images (N, 1, H, W) float32 and gives logits (N, labels).
    """

    name: str
    attention: AttentionType
    network: Callable[[], nn.Module]
    schedule: Schedule
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    seed: int = 0

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return self.schedule.epochs

    def build(self) -> nn.Module:
        """The untrained network; the same weights every time, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.network()

    def fingerprint(self) -> str:
        """A hash of the recipe's fields and the network's structure: it changes where the weights would."""
        module = self.build()
        facts = {
            "name": self.name,
            "attention": self.attention,
            "schedule": asdict(self.schedule),
            "preprocessing": self.preprocessing.model_dump(),
            "labels": self.labels,
            "seed": self.seed,
            "structure": str(module),
            "shapes": {key: list(value.shape) for key, value in module.state_dict().items()},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
