"""What a repository holds beside models that can be served: which of it is told, and why it is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from fovea.contract.model_card import MODEL_FILE
from fovea.runtime.names import NAME_RULE, is_model_name, is_silent, is_version_name, shown_name

_LOOKED_AT = 1000
"""Entries of a folder that may be anything, a data set of millions of files too."""
_NAMED = 5
ODD_VERSION = "its name is no version's: expected 1, 2 or another whole number without zeros before it"
ABSENT_VERSION = "it is chosen, and there is no such folder"
_MODEL = ".onnx"
_SIGNS = (_MODEL, ".toml", ".pbtxt")
"""Endings of models and of what configures them."""


def why_no_model(path: Path) -> str | None:
    """Why this entry of a repository can be none, whatever is in it; None where it may be one."""
    if _leads_nowhere(path):
        return "it is a link to nowhere"
    if not path.is_dir():
        return f"it is a file: expected a folder, <model>/<version>/{MODEL_FILE}"
    return None if is_model_name(path.name) else f"its name cannot be a model's: expected {NAME_RULE}"


def why_no_version(model: Path) -> str:
    """Why there is no version in a model's folder."""
    try:
        found = [*(f"'{name}'" for name in odd_versions(model)), *map(_told, _in_the_way(model))]
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    expected = f"it has no version folder: expected 1, 2 or another whole number, with {MODEL_FILE} in it"
    more = " and more" if len(found) > _NAMED else ""
    return f"{expected}, found {', '.join(found[:_NAMED])}{more}" if found else expected


def odd_versions(model: Path) -> tuple[str, ...]:
    """Folders that hold a model's file, have no version's name, and are not what a version links to."""
    names = sorted(name for name in _names(model) if not is_silent(name))
    odd = [name for name in names if not is_version_name(name) and any(_files(model / name, _MODEL))]
    served = [model / name for name in names if odd and is_version_name(name)]
    linked = {path.resolve() for path in served if path.is_dir()}
    return tuple(shown_name(name) for name in odd if (model / name).resolve() not in linked)


def looks_meant(path: Path) -> bool:
    """Whether somebody seems to want this served: it has a model's file or configuration, or a version that is a link
    to nowhere, as to a volume that is not mounted; or nobody can look.
    """
    if not path.is_dir():
        return path.suffix == _MODEL or path.is_symlink()
    try:
        inner = [path / name for name in _names(path)]
        lost = any(is_version_name(one.name) and _leads_nowhere(one) for one in inner)
        return lost or any(chain.from_iterable(_files(folder, _SIGNS) for folder in (path, *inner)))
    except OSError:
        return True


def _in_the_way(model: Path) -> list[Path]:
    """Files that stand where a version should. Others are not named to callers: a link may lead anywhere."""
    names = sorted(name for name in _names(model) if name.endswith(_MODEL) or is_version_name(name))
    return [model / name for name in names if not (model / name).is_dir()]


def _told(path: Path) -> str:
    return f"'{shown_name(path.name)}' ({'a link to nowhere' if _leads_nowhere(path) else 'a file'})"


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _files(folder: Path, endings: str | tuple[str, ...]) -> Iterator[str]:
    try:
        return (name for name in _names(folder) if name.endswith(endings))
    except PermissionError:  # there may well be one
        return iter((folder.name,))
    except OSError:
        return iter(())


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, _LOOKED_AT)]
