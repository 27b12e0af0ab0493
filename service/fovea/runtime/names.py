"""The names of models and versions, and the names of files as they may be shown."""

from __future__ import annotations

import re

TEMPORARY_ENDINGS = (".tmp", ".part", ".partial")
NAME_RULE = "letters of ASCII, digits, '.', '_' and '-', of which a letter or a digit comes first"
_OF_THE_SYSTEM = ("lost+found", "__pycache__", "@eaDir")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION_NAME = re.compile(r"[1-9][0-9]{0,17}")


def is_model_name(name: str) -> bool:
    """Whether a folder of this name may be a model: no hidden, temporary or odd one."""
    return _MODEL_NAME.fullmatch(name) is not None and not name.endswith(TEMPORARY_ENDINGS)


def is_version_name(name: str) -> bool:
    """Whether a folder of this name, inside a model's, is a version."""
    return _VERSION_NAME.fullmatch(name) is not None


def is_silent(name: str) -> bool:
    """Whether nobody expects a model of this name: hidden, temporary, or made by the system."""
    return name.startswith(".") or name.endswith(TEMPORARY_ENDINGS) or name in _OF_THE_SYSTEM


def shown_name(name: str) -> str:
    r"""A file's name in one line that any encoder takes: what cannot be printed as `\n` or `\udcff`."""
    escaped = (letter.encode("unicode_escape").decode() for letter in name)
    return "".join(letter if letter.isprintable() else code for letter, code in zip(name, escaped, strict=True))
