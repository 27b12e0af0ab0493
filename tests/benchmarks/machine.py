"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

INSTRUCTION_SETS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")
KERNEL_CODE = {"avx512f": "avx512", "avx2": "avx2", "": "portable"}
"""Instruction set -> the kernels' code for it, best first; any processor runs the portable one."""
PACKAGES = ("fovea", "onnxruntime", "grpcio", "protobuf", "numpy")


def describe() -> dict[str, str]:
    """Processor, cores, instruction set and versions, as texts."""
    facts = _cpu_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "cpu": facts.get("model name", platform.machine()),
        "cores": str(len(os.sched_getaffinity(0))),
        "instruction set": next((name for name in INSTRUCTION_SETS if name in flags), "unknown"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def kernel_code(environment: Mapping[str, str]) -> str:
    """Which code the kernels run here: what FOVEA_KERNELS_ISA says if this processor can, else the best."""
    codes = list(KERNEL_CODE.values())
    best = codes.index(KERNEL_CODE.get(describe()["instruction set"], "portable"))
    wanted = environment.get("FOVEA_KERNELS_ISA")
    return wanted if wanted in codes[best:] else codes[best]


def in_one_line(machine: dict[str, str]) -> str:
    """For under a table."""
    return f"{machine['cpu']} ({machine['instruction set']}), {machine['cores']} cores; {machine['versions']}"


def _cpu_facts() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
