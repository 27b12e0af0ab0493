"""What runs the attention blocks of everything that is served, in words short enough for the ready line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fovea.runtime.kernel_library import Cause
from fovea.runtime.printable import printable

_LONGEST_REASON = 120
WORDS = {
    Cause.OFF: "turned off",
    Cause.NO_LIBRARY: "no library",
    Cause.NO_KERNEL: "no kernel",
    Cause.NOT_NEEDED: "ONNX Runtime's own kernels",
    Cause.UNVERIFIED: "nothing to verify kernels with",
    Cause.CRASHED: "kernels crashed when they were tried",
    Cause.FAILED: "kernels failed when they were tried",
    Cause.SLOWER: "quicker",
}
"""What is said of several versions that have bodies for one cause and for reasons that differ."""


class Runs(Protocol):
    """A version; see `fovea.runtime.loaded_version.LoadedVersion`."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def kernels(self) -> str:
        """fused, body or none."""

    @property
    def kernels_cause(self) -> str:
        """Why a body runs, as a `Cause`; empty where none does."""

    @property
    def kernels_reason(self) -> str:
        """Why a body runs, in words; empty where none does."""


def kernel_words(versions: Sequence[Runs]) -> str:
    """One of "fused", "none", "body (why)" and "fused (5 models), body (2 models: their names: why)".

    Versions without attention blocks count only where there are no others.
    """
    fused = [version for version in versions if version.kernels == "fused"]
    bodies = [version for version in versions if version.kernels == "body"]
    if not bodies:
        return "fused" if fused else "none"
    groups = [[one for one in bodies if one.kernels_cause == cause] for cause in _in_order(bodies)]
    if not fused and len(groups) == 1:
        return f"body ({_why(bodies)})"
    body = f"body ({_models(bodies)}: {'; '.join(f'{_names(group)}: {_why(group)}' for group in groups)})"
    return f"fused ({_models(fused)}), {body}" if fused else body


def _in_order(bodies: Sequence[Runs]) -> list[str]:
    return list(dict.fromkeys(version.kernels_cause for version in bodies))


def _why(group: Sequence[Runs]) -> str:
    """The reason, where all of them have the same; else their cause."""
    if len({version.kernels_reason for version in group}) == 1:
        return printable(group[0].kernels_reason, _LONGEST_REASON)
    return WORDS[Cause(group[0].kernels_cause)]


def _names(versions: Sequence[Runs]) -> str:
    return ", ".join(dict.fromkeys(version.name for version in versions))


def _models(versions: Sequence[Runs]) -> str:
    count = len({version.name for version in versions})
    return f"{count} model" if count == 1 else f"{count} models"
