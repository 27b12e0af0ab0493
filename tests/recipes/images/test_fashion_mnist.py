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


def test_a_cached_data_set_is_not_fetched_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (cache / "fashion-mnist").mkdir(parents=True)
    assert fashion_mnist.fetch().name == "fashion-mnist"


def _fake_tools(folder: Path, apt_get: str) -> Path:
    """A folder of shell scripts in the place of Debian's tools."""
    folder.mkdir()
    unpack = "mkdir -p $3/usr/share/datasets/fashion-mnist && touch $3/usr/share/datasets/fashion-mnist/done"
    for name, script in {"apt-get": apt_get, "dpkg-deb": unpack}.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


NO_SYSTEM_COPY = pytest.mark.skipif(
    Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="the package is installed here, nothing is fetched"
)


@NO_SYSTEM_COPY
def test_missing_package_lists_are_refreshed_and_the_package_unpacked(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    script = f"if [ $1 = update ]; then touch {lists}; elif [ -e {lists} ]; then touch d.deb; else exit 100; fi"
    monkeypatch.setenv("PATH", f"{_fake_tools(tmp_path / 'bin', script)}:/usr/bin:/bin")
    assert (fashion_mnist.fetch() / "done").is_file()
    assert [entry.name for entry in cache.iterdir()] == ["fashion-mnist"]


@NO_SYSTEM_COPY
def test_a_fetch_that_fails_says_why_in_one_line_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = _fake_tools(tmp_path / "bin", "echo first >&2; echo no route to the mirror >&2; exit 100")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(Misconfigured, match=r"Fashion-MNIST cannot be fetched: apt-get update: no route") as caught:
        fashion_mnist.fetch()
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@NO_SYSTEM_COPY
def test_a_machine_without_apt_is_told_that_debian_is_needed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured, match="no apt-get"):
        fashion_mnist.fetch()
    assert cache.is_dir()
