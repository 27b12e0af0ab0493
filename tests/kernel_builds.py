"""Kernel libraries for tests: the project's own build as a module, and a library of one SimAM kernel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

KERNELS = Path(__file__).parents[1] / "service" / "kernels"
_TINY = Path(__file__).with_name("runtime") / "simam_kernel.cc"


def _load(script: Path) -> ModuleType:
    """A script that is in no package."""
    sys.path.append(str(script.parent))  # it imports what lies beside it
    spec = importlib.util.spec_from_file_location("fovea_kernel_builder", script)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


builder = _load(KERNELS / "build.py")


def own_library() -> Path:
    """The library of this tree, built where it is not up to date; skipped only where there is no C++ compiler."""
    try:
        library: Path = builder.build(builder.Plan())
    except builder.NoKernels as error:
        if not any(map(shutil.which, ("g++", "c++", "clang++"))):
            pytest.skip(str(error))
        pytest.fail(f"{error}\n{error.details}")
    return library


@cache
def _headers() -> str:
    found = subprocess.run([KERNELS / "fetch_headers.sh"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"ONNX Runtime's C headers cannot be had: {found.stderr}"
    return found.stdout.strip()


def tiny_library(folder: Path, variant: str) -> Path:
    """A library in `folder` whose kernel is RIGHT, WRONG, SLOW and so on: see simam_kernel.cc. No g++: skipped."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ to compile a kernel with")
    library = folder / f"lib{variant}.so"
    if not library.exists():
        flags = ["-std=c++17", "-O3", "-march=native", "-fPIC", "-shared", f"-D{variant}", f"-I{_headers()}"]
        subprocess.run(["g++", *flags, str(_TINY), "-o", str(library)], check=True)
    return library
