"""The files of a version: whether all are there, whole, and inside their folder, before any is opened."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE, MOST_TEXT_BYTES, ModelCard
from fovea.runtime.names import shown_name

MOST_VOCABULARY_BYTES = 32 << 20
"""The largest have 250,000 tokens, 5 MB as a list and 17 MB in a tokenizer's file."""


def model_path(folder: Path, file: str = MODEL_FILE) -> Path:
    """The ONNX file of a version: the one of this name, or model.onnx in a folder of this name, as Triton has it."""
    path = folder / file
    return path / MODEL_FILE if path.is_dir() else path


def require_inside(folder: Path, file: str = MODEL_FILE) -> None:
    """ModelBroken where a symbolic link of the folder leads out of it, or where there is no model file."""
    home = folder.resolve()
    for entry in sorted(folder.rglob("*")):
        if not _resolved(entry).is_relative_to(home):
            raise ModelBroken(f"{entry.relative_to(folder)} leads outside the version's folder")
    model = model_path(folder, file)
    if not model.is_file():
        raise ModelBroken(f"{model.relative_to(folder)} is missing{_found_instead(folder)}")


def _found_instead(folder: Path) -> str:
    names = sorted(shown_name(path.name) for path in folder.glob("*") if path.suffix.lower() == ".onnx")
    return f", found '{names[0]}'" if names else ""


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:
        raise ModelBroken(f"{path.name} is a link to itself") from error


def require_whole(folder: Path, card: ModelCard) -> None:
    """ModelBroken where a file that the card names is missing, differs from its hash, or lies elsewhere."""
    if MODEL_FILE not in card.sha256:
        raise ModelBroken(f"the card has no hash of {MODEL_FILE}")
    for name, expected in card.sha256.items():
        if file_sha256(_inside(folder, name)) != expected.lower():
            raise ModelBroken(f"{name} differs from the hash in its card: changed or half-written")


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelBroken(f"the card names {name}, outside the version's folder")
    if not path.is_file():
        raise ModelBroken(f"{name} is missing")
    return path


def require_small(folder: Path, name: str, most_bytes: int = MOST_TEXT_BYTES) -> None:
    """ModelBroken where a text file is missing, not regular, outside its folder, or larger than `most_bytes`."""
    path = folder / name
    if not _resolved(path).is_relative_to(folder.resolve()):
        raise ModelBroken(f"{name} leads outside its folder")
    if not path.exists():
        raise ModelBroken(f"{name} is missing")
    if not path.is_file():
        raise ModelBroken(f"{name} is no regular file")
    if path.stat().st_size > most_bytes:
        raise ModelBroken(f"{name} is larger than {most_bytes >> 10} KiB")


def read_text(folder: Path, name: str, most_bytes: int = MOST_VOCABULARY_BYTES) -> str:
    """A text file of a version, in UTF-8; ModelBroken where it cannot be had, or is larger than `most_bytes`."""
    require_small(folder, name, most_bytes)
    try:
        return (folder / name).read_text("utf-8-sig")
    except OSError as error:
        raise ModelBroken(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelBroken(f"{name} is no UTF-8") from error


def file_sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal; ModelBroken where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelBroken(f"{path.name} cannot be read: {error.strerror}") from error
