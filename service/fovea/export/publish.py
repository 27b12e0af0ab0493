"""Puts a version into a repository in one step: written beside it under a hidden name, made durable, renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import CARD_FILE, ModelCard
from fovea.runtime.files import file_sha256
from fovea.runtime.names import is_version_name
from fovea.runtime.temporary_folders import TemporaryFolder, remove_left_behind

_PREFIX = ".unpublished-"
Write = Callable[[Path], ModelCard]
"""Writes a version's files into a folder and returns its card, without the hashes."""


def publish(repository: Path, name: str, version: int | None, write: Write) -> Path:
    """The folder `<repository>/<name>/<version>`, complete, or nothing. `version` None: the next free number.

    Raises ExportFailed where no server would look for that version, where it exists already (it is never overwritten)
    and where the files cannot be written. Whatever else `write` raises passes through. All leave nothing behind.
    """
    if version is not None:
        require_version_number(version)
    try:
        return _published(repository / name, version, write)
    except OSError as error:
        reason = error.strerror or error
        raise ExportFailed(f"{name} cannot be written to the repository {repository}: {reason}") from error


def require_version_number(version: int) -> None:
    """ExportFailed where it is no number of a version."""
    if not is_version_name(str(version)):
        raise ExportFailed(f"a version is a whole number from 1 on, not {version}")


def next_version(model_folder: Path) -> int:
    """One more than the largest version number there is."""
    numbers = [int(entry.name) for entry in model_folder.iterdir() if entry.name.isdecimal()]
    return max(numbers, default=0) + 1


def _published(model_folder: Path, version: int | None, write: Write) -> Path:
    if version is not None and (model_folder / str(version)).exists():
        raise ExportFailed(f"{model_folder.name} version {version} exists already; versions are never overwritten")
    new = not model_folder.exists()  # then it comes into being with its version: a server that looks sees no half of it
    place = model_folder.parent if new else model_folder
    with suppress(FileExistsError):  # where it is no folder, the next lines say so
        place.mkdir(parents=True)
    for folder in (model_folder.parent, model_folder):
        remove_left_behind(folder, _PREFIX)
    scratch = TemporaryFolder(place, _PREFIX)
    try:
        scratch.path.chmod(0o755)  # its 0700 would hide the version from the server's user
        _complete(scratch.path, write(scratch.path))
        model_folder.mkdir(exist_ok=True)
        target = _rename(scratch.path, model_folder, version)
    except BaseException:
        scratch.remove()
        _remove_if_empty(model_folder)
        raise
    scratch.release()
    return target


def _complete(folder: Path, card: ModelCard) -> None:
    """Write the card with the hash of every other file, then force everything to disk."""
    hashes = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / CARD_FILE).write_text(card.model_copy(update={"sha256": hashes}).to_json(), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        _to_disk(path)


def _rename(scratch: Path, model_folder: Path, version: int | None) -> Path:
    """Rename to the version's number. Where another exporter was faster, its files stay: then to the next number."""
    while True:
        target = model_folder / str(version if version is not None else next_version(model_folder))
        try:
            scratch.rename(target)  # fails on a folder that holds files
        except OSError as error:
            if version is None and target.exists():
                continue
            raise ExportFailed(f"{model_folder.name} version {target.name} cannot be made: {error.strerror}") from error
        _to_disk(model_folder)
        return target


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
