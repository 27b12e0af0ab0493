"""A trained classifier into whose slots a block without parameters is put, and which is not trained again.

SimAM (Yang et al. 2021) has no weights, so that every weight of the network finds its place. The block rescales what
the next layer was trained on, and the card says what that costs: accuracy before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject


@dataclass(frozen=True)
class PlugIn:
    """`start` is trained; `plugged` is the same network with the block in it."""

    start: ImageClassification
    plugged: ImageClassification

    @property
    def name(self) -> str:
        """The plugged network's."""
        return self.plugged.name

    @property
    def seed(self) -> int:
        """The trained network's."""
        return self.start.seed

    @property
    def schedule(self) -> Schedule:
        """No training."""
        return Schedule(epochs=0)

    def data(self) -> ImageDataset:
        """What the network was trained on."""
        return self.start.data()

    def network(self) -> nn.Module:
        """The network with the block."""
        return self.plugged.network()

    def loss(self, module: nn.Module, data: ImageDataset, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """The trained network's; nothing is trained by it."""
        return self.plugged.loss(module, data, chosen, generator)

    def evaluation(self, module: nn.Module, data: ImageDataset) -> Mapping[str, float]:
        """The accuracy on the test images with the block, and before it was put in."""
        before = self.start.network().eval()
        before.load_state_dict(module.state_dict())
        metrics = {**self.plugged.evaluation(module, data)}
        return {**metrics, **{f"{name}_before": value for name, value in self.start.evaluation(before, data).items()}}

    def subject(self, trained: Trained, data: ImageDataset) -> Subject:
        """The network with the block, and the training of the one without."""
        return self.plugged.subject(trained, data)

    def facts(self) -> Mapping[str, Any]:
        """Those of both, and how the one without the block was trained."""
        return {"plugged": self.plugged.facts(), "start": self.start.facts(), "schedule": vars(self.start.schedule)}
