"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

INSTRUCTION_SETS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")
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


def in_one_line(machine: dict[str, str]) -> str:
    """For under a table."""
    return f"{machine['cpu']} ({machine['instruction set']}), {machine['cores']} cores; {machine['versions']}"


def _cpu_facts() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
