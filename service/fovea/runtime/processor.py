"""What this processor is, and which of the kernels' code paths it runs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

INSTRUCTION_SETS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")
"""In order of preference, the best first."""

_AVX2 = frozenset({"avx2", "fma", "f16c"})
KERNEL_CODE: dict[str, Set[str]] = {
    "avx512": _AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx2": _AVX2,
    "portable": frozenset(),
}
"""Code path of the kernels, best first -> what the processor must have. The kernels choose by the same rule."""


@dataclass(frozen=True)
class Processor:
    """One processor, by Linux's account."""

    name: str
    flags: Set[str]

    @property
    def instruction_set(self) -> str:
        """The best set of vector instructions."""
        return next((name for name in INSTRUCTION_SETS if name in self.flags), "unknown")

    def kernel_code(self, environment: Mapping[str, str]) -> str:
        """What FOVEA_KERNELS_ISA says where this processor can run it, else the best that it can."""
        possible = [code for code, needed in KERNEL_CODE.items() if needed <= self.flags]
        wanted = environment.get("FOVEA_KERNELS_ISA", "")
        return wanted if wanted in possible else possible[0]


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """The first one of this machine; by its architecture alone where the system does not tell more."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = frozenset(facts.get("flags", facts.get("Features", "")).split())
    return Processor(facts.get("model name", platform.machine()), flags)
