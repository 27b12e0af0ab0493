"""Packages of Debian and PyPI are fetched once, by their own clients, and what is wrong with that is said clearly."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import debian_files, pypi_files

FASHION = ("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist")


def test_a_cached_package_is_not_fetched_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (cache / "fashion-mnist").mkdir(parents=True)
    assert debian_files(*FASHION).name == "fashion-mnist"


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
    assert (debian_files(*FASHION) / "done").is_file()
    assert [entry.name for entry in cache.iterdir()] == ["fashion-mnist"]


@NO_SYSTEM_COPY
def test_a_fetch_that_fails_says_why_in_one_line_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = _fake_tools(tmp_path / "bin", "echo first >&2; echo no route to the mirror >&2; exit 100")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    with pytest.raises(
        Misconfigured, match=r"dataset-fashion-mnist cannot be fetched: apt-get update: first no route to the mirror$"
    ) as caught:
        debian_files(*FASHION)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@NO_SYSTEM_COPY
def test_a_machine_without_apt_is_told_that_debian_is_needed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured, match="no apt-get"):
        debian_files(*FASHION)
    assert cache.is_dir()


def _wheel(folder: Path) -> str:
    """A wheel with one file of data; its hash."""
    folder.mkdir()
    path, about = folder / "numbers_of_pi-1.0-py3-none-any.whl", "numbers_of_pi-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("numbers_of_pi/data.txt", "3.14")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: numbers-of-pi\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks into, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def test_a_wheel_is_fetched_by_pip_and_unpacked_and_not_installed(cache: Path, wheels: Path) -> None:
    unpacked = pypi_files("numbers-of-pi==1.0", _wheel(wheels))
    assert (unpacked / "numbers_of_pi" / "data.txt").read_text() == "3.14"
    assert [entry.name for entry in cache.iterdir()] == ["numbers-of-pi==1.0"]
    assert not any((Path(entry) / "numbers_of_pi").exists() for entry in sys.path)


def test_a_wheel_of_another_hash_is_refused_and_leaves_nothing(cache: Path, wheels: Path) -> None:
    _wheel(wheels)
    with pytest.raises(Misconfigured, match=r"numbers-of-pi==1\.0 cannot be fetched: .*pip download"):
        pypi_files("numbers-of-pi==1.0", "0" * 64)
    assert list(cache.iterdir()) == []
