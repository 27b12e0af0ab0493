"""Finds the library of fused `ai.fovea` kernels. It is never required: without it the function bodies run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from fovea.contract.errors import Misconfigured
from fovea.runtime.printable import printable

LIBRARY_NAME = "libfovea_kernels.so"
_NOTE_NAME = "no_kernels.txt"
"""What the build leaves in the library's place where there is none; see service/kernels/build.py."""
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE, _PACKAGE.parent / "kernels" / "build")
_LONGEST_NOTE = 200

Mode = Literal["auto", "require", "off"]


class Cause(StrEnum):
    """What keeps kernels from running, as a metric's label."""

    OFF = "off"
    NO_LIBRARY = "no_library"
    NO_KERNEL = "no_kernel"
    NOT_NEEDED = "not_needed"
    """The bodies are ONNX Runtime's own fused operators."""
    UNVERIFIED = "unverified"
    CRASHED = "crashed"
    """They ended, or held up, the process that tried them."""
    FAILED = "failed"
    """They could not be loaded or run, or gave other answers than the golden ones."""
    SLOWER = "slower"


@dataclass(frozen=True)
class Obstacle:
    """Why bodies run where kernels might."""

    cause: Cause
    reason: str
    """In a few words, for people."""


NOT_FOUND = Obstacle(Cause.NO_LIBRARY, "no kernel library was found")


def kernels_on_offer(mode: Mode, explicit: Path | None = None, places: tuple[Path, ...] = _PLACES) -> Path | Obstacle:
    """The library to try, or why there is none to be tried.

    Raises Misconfigured where `explicit` names no file, or kernels are required and there is no library.
    """
    if mode == "off":
        return Obstacle(Cause.OFF, "kernels are turned off")
    library = find_kernel_library(explicit, places)
    if library is not None:
        return library
    reason = _why_no_library(places)
    if mode == "require":
        raise Misconfigured(f"kernels are required: {reason}")
    return Obstacle(Cause.NO_LIBRARY, reason)


def find_kernel_library(explicit: Path | None = None, places: tuple[Path, ...] = _PLACES) -> Path | None:
    """`explicit` if given, else the library beside the package or freshly built; None where there is none.

    Raises Misconfigured where `explicit` names no file.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise Misconfigured(f"no kernel library at {explicit}")
        return explicit.resolve()
    return next((place / LIBRARY_NAME for place in places if (place / LIBRARY_NAME).is_file()), None)


def _why_no_library(places: tuple[Path, ...]) -> str:
    """What the build said when it could not make the library, if it left a note in one of these places."""
    for place in places:
        try:
            note = (place / _NOTE_NAME).read_text("utf-8", "replace").strip()
        except OSError:
            continue
        return f"no kernel library: {printable(' '.join(note.split()), _LONGEST_NOTE)} when it was built"
    return NOT_FOUND.reason
