"""The recipe of a network that tells which class a picture belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import Preprocessing
from fovea.inputs.picture_steps import Pixels, pixel_rows
from fovea.recipes.images.augmentation import NOTHING, Augmentation, augment
from fovea.recipes.images.dataset import ImageDataset, Images
from fovea.recipes.recipe import Schedule, Trained
from fovea.recipes.subject import Subject

INPUT, LOGITS = "input", "logits"
_EVALUATION_ROWS = 500


@dataclass(frozen=True)
class ImageClassification:
    """The network takes rows (N, 1, H, W) of float32, as the steps make them, and gives logits (N, labels)."""

    name: str
    attention: AttentionType
    make: Callable[[], nn.Module]
    schedule: Schedule
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    load: Callable[[], ImageDataset]
    augmentation: Augmentation = NOTHING
    seed: int = 0

    def data(self) -> ImageDataset:
        """Labelled grey images of the network's size."""
        return self.load()

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        return self.make()

    def loss(self, module: nn.Module, data: ImageDataset, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the chosen images, each moved and mirrored at random."""
        pixels = augment(torch.from_numpy(data.train_images[chosen.numpy()]), self.augmentation, generator)
        rows = torch.from_numpy(self.rows(pixels.numpy())).contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(data.train_labels[chosen.numpy()])
        return F.cross_entropy(module(rows), labels, label_smoothing=self.schedule.label_smoothing)

    def evaluation(self, module: nn.Module, data: ImageDataset) -> Mapping[str, float]:
        """The share of the test images whose largest logit is their label."""
        correct = 0
        with torch.no_grad():
            for first in range(0, len(data.test_images), _EVALUATION_ROWS):
                part = slice(first, first + _EVALUATION_ROWS)
                logits = module(torch.from_numpy(self.rows(data.test_images[part])))
                correct += int((logits.argmax(1) == torch.from_numpy(data.test_labels[part])).sum())
        return {"accuracy": correct / len(data.test_images)}

    def subject(self, trained: Trained, data: ImageDataset) -> Subject:
        """The network with the first test images as its rows."""
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data),
            output_names=(LOGITS,),
            attention=self.attention,
            labels=self.labels,
            preprocessing=self.preprocessing,
            metrics=trained.metrics,
            training=trained.training,
        )

    def facts(self) -> Mapping[str, Any]:
        """Attention, augmentation, preprocessing and labels."""
        return {
            "attention": self.attention,
            "augmentation": asdict(self.augmentation),
            "preprocessing": self.preprocessing.model_dump(),
            "labels": self.labels,
        }

    def rows(self, images: Images) -> Pixels:
        """(N, H, W) uint8 -> (N, 1, H, W) float32: the very steps that the server does."""
        return pixel_rows(images[..., None], self.preprocessing.steps)

    def _test_rows(self, data: ImageDataset, rows: int) -> dict[str, NDArray[Any]]:
        return {INPUT: self.rows(data.test_images[:rows])}
