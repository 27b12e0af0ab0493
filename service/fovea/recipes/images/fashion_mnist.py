"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT licence), from Debian's package `dataset-fashion-mnist`.

The package is unpacked into the cache, not installed: this needs no root, only `apt-get` and `dpkg-deb`.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from fovea.contract.errors import Misconfigured
from fovea.contract.input_steps import Preprocessing
from fovea.recipes.cache import cache_dir
from fovea.recipes.images.dataset import ImageDataset
from fovea.recipes.images.idx import read_idx

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
_FOLDER_IN_PACKAGE = Path("usr/share/datasets/fashion-mnist")


def load(folder: Path | None = None) -> ImageDataset:
    """60,000 training and 10,000 test images of 28x28, fetched on first use. Misconfigured: no data, or damaged."""
    source = folder or fetch()
    return ImageDataset(
        name=NAME,
        train_images=read_idx(source / "train-images-idx3-ubyte.gz"),
        train_labels=read_idx(source / "train-labels-idx1-ubyte.gz").astype(np.int64),
        test_images=read_idx(source / "t10k-images-idx3-ubyte.gz"),
        test_labels=read_idx(source / "t10k-labels-idx1-ubyte.gz").astype(np.int64),
    )


def fetch() -> Path:
    """The folder with the four files: the installed package's, the cached one, or a freshly fetched one."""
    cached = cache_dir() / "fashion-mnist"
    for folder in (Path("/") / _FOLDER_IN_PACKAGE, cached):
        if folder.is_dir():
            return folder
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="fetching-") as scratch:
        _publish(_unpack(_download(Path(scratch))), cached)
    return cached


def _download(scratch: Path) -> Path:
    """The package file; refreshes the package lists where the first try fails."""
    try:
        _command(["apt-get", "download", _PACKAGE], scratch)
    except Misconfigured:
        _command(["apt-get", "update"], scratch)
        _command(["apt-get", "download", _PACKAGE], scratch)
    return next(scratch.glob("*.deb"))


def _unpack(package: Path) -> Path:
    _command(["dpkg-deb", "-x", package.name, "unpacked"], package.parent)
    return package.parent / "unpacked" / _FOLDER_IN_PACKAGE


def _publish(files: Path, target: Path) -> None:
    """Rename in one step; where another process was first, its files stay."""
    try:
        files.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _command(words: list[str], folder: Path) -> None:
    """Run in `folder`; Misconfigured with the last line the command wrote where it fails."""
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Misconfigured(f"{NAME} cannot be fetched: this machine has no {words[0]} (Debian is needed)") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["no message"]
        raise Misconfigured(f"{NAME} cannot be fetched: {' '.join(words)}: {said[-1]}") from error
