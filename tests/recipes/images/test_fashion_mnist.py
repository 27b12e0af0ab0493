"""Reading Fashion-MNIST's files, and saying clearly what is wrong with them or with fetching them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.images import fashion_mnist
from fovea.recipes.images.idx import read_idx


def _idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


IMAGES = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)


def test_an_idx_file_gives_its_array(tmp_path: Path) -> None:
    assert np.array_equal(read_idx(_written(tmp_path / "images.gz", _idx(IMAGES))), IMAGES)


@pytest.mark.parametrize("kept", [0, 3, 4, 10, 16, 1000])
def test_a_truncated_idx_file_is_named_with_a_remedy(tmp_path: Path, kept: int) -> None:
    path = _written(tmp_path / "images.gz", _idx(IMAGES)[:kept])
    with pytest.raises(Misconfigured, match=r"images\.gz.*delete its folder to fetch it again"):
        read_idx(path)


@pytest.mark.parametrize("kept", [0, 5, 40])
def test_a_half_downloaded_gzip_is_named_with_a_remedy(tmp_path: Path, kept: int) -> None:
    path = _written(tmp_path / "images.gz", _idx(IMAGES))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Misconfigured, match=r"images\.gz.*delete its folder to fetch it again"):
        read_idx(path)


def test_a_data_set_is_read_from_its_four_files(tmp_path: Path) -> None:
    labels = np.array([3, 9], np.uint8)
    for part in ("train", "t10k"):
        _written(tmp_path / f"{part}-images-idx3-ubyte.gz", _idx(IMAGES))
        _written(tmp_path / f"{part}-labels-idx1-ubyte.gz", _idx(labels))
    data = fashion_mnist.load(tmp_path)
    assert np.array_equal(data.test_images, IMAGES)
    assert data.train_labels.tolist() == [3, 9]
    assert data.train_labels.dtype == np.int64
