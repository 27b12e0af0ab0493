"""Finds the library of fused `ai.fovea` kernels. It is never required: without it the function bodies run."""

from __future__ import annotations

from pathlib import Path

from fovea.contract.errors import Misconfigured

LIBRARY_NAME = "libfovea_kernels.so"
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE, _PACKAGE.parent / "kernels" / "build")


def find_kernel_library(explicit: Path | None = None) -> Path | None:
    """`explicit` if given, else the library beside the package or freshly built; None where there is none.

    Raises Misconfigured where `explicit` names no file.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise Misconfigured(f"no kernel library at {explicit}")
        return explicit.resolve()
    return next((place / LIBRARY_NAME for place in _PLACES if (place / LIBRARY_NAME).is_file()), None)
