"""A labelled set of grey images, as it comes: no scaling, no augmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageDataset:
    """Images (N, H, W) uint8 and labels (N,) int64, split into training and test."""

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels

    @property
    def rows(self) -> int:
        """Training images."""
        return len(self.train_images)

    def sample(self, rows: int) -> Self:
        """The first images of both parts."""
        return replace(
            self,
            train_images=self.train_images[:rows],
            train_labels=self.train_labels[:rows],
            test_images=self.test_images[:rows],
            test_labels=self.test_labels[:rows],
        )
