"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from fovea import __version__
from fovea.runtime.processor import this_processor

PACKAGES = ("onnxruntime", "grpcio", "protobuf", "numpy")


def describe() -> dict[str, str]:
    """Processor, cores, instruction set and versions, as texts."""
    processor = this_processor()
    return {
        "cpu": processor.name,
        "cores": str(len(os.sched_getaffinity(0))),
        "instruction set": processor.instruction_set,
        "system": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "versions": ", ".join([f"fovea {__version__}", *(f"{name} {version(name)}" for name in PACKAGES)]),
    }


def in_one_line(machine: dict[str, str]) -> str:
    """For under a table."""
    return f"{machine['cpu']} ({machine['instruction set']}), {machine['cores']} cores; {machine['versions']}"
