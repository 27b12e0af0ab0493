"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT licence), from Debian's package `dataset-fashion-mnist`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fovea.contract.input_steps import Preprocessing
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.idx import read_idx
from fovea.recipes.packages import debian_files

NAME = "Fashion-MNIST"
LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PREPROCESSING = Preprocessing(mode="L", height=28, width=28, mean=(0.2860,), std=(0.3530,))
"""Mean and deviation of the training pixels, scaled to [0, 1]."""

_PACKAGE = "dataset-fashion-mnist"
_FOLDER = "usr/share/datasets/fashion-mnist"


def load(folder: Path | None = None) -> ImageDataset:
    """60,000 training and 10,000 test images of 28x28, fetched on first use. Misconfigured: no data, or damaged."""
    source = folder or debian_files(_PACKAGE, _FOLDER)
    return ImageDataset(
        name=NAME,
        train_images=read_idx(source / "train-images-idx3-ubyte.gz"),
        train_labels=read_idx(source / "train-labels-idx1-ubyte.gz").astype(np.int64),
        test_images=read_idx(source / "t10k-images-idx3-ubyte.gz"),
        test_labels=read_idx(source / "t10k-labels-idx1-ubyte.gz").astype(np.int64),
    )
