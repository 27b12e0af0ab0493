"""The C++ compiler and ONNX Runtime's C headers: where they are, or why there are none. Standard library only."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADERS_VARIABLE = "FOVEA_ONNXRUNTIME_HEADERS"
HEADER = "onnxruntime_c_api.h"

_COMPILERS = ("g++", "c++", "clang++")
_HEADERS_PATIENCE_S = 120
_FETCH_HEADERS = Path(__file__).resolve().with_name("fetch_headers.sh")


class NoKernels(Exception):
    """Why there is no library, in a few words; `details` is what the compiler said."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.details = details


@dataclass(frozen=True)
class Toolchain:
    """A compiler that runs, what it says of itself, and the headers."""

    command: tuple[str, ...]
    version: str
    machine: str
    headers: Path


def find_toolchain(compiler: str | None, headers: Path | None) -> Toolchain:
    """With this compiler and these headers, where they are given; NoKernels tells which of them there is not."""
    command = _compiler(compiler, os.environ)
    version = _output([*command, "--version"])
    machine = _output([*command, "-dumpmachine"]).strip()
    if not version or not machine:
        raise NoKernels(f"the C++ compiler {command[0]} does not run")
    return Toolchain(command, version, machine, _headers(headers, os.environ))


def _compiler(given: str | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    if wanted := given or environment.get("CXX"):
        command = tuple(shlex.split(wanted))
        if not command or shutil.which(command[0]) is None:
            raise NoKernels(f"no C++ compiler {wanted!r}")
        return command
    for name in _COMPILERS:
        if shutil.which(name):
            return (name,)
    raise NoKernels("no C++ compiler")


def _headers(given: Path | None, environment: Mapping[str, str]) -> Path:
    stated = given or (Path(environment[HEADERS_VARIABLE]) if environment.get(HEADERS_VARIABLE) else None)
    if stated is not None:
        if not (stated / HEADER).is_file():
            raise NoKernels(f"no {HEADER} in {stated}")
        return stated.resolve()
    try:
        fetch = subprocess.run(["sh", str(_FETCH_HEADERS)], capture_output=True, text=True, timeout=_HEADERS_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise NoKernels(f"ONNX Runtime's headers did not come within {_HEADERS_PATIENCE_S} s") from error
    if fetch.returncode != 0:
        raise NoKernels("no headers of ONNX Runtime", fetch.stderr)
    return Path(fetch.stdout.strip().splitlines()[-1])


def _output(command: Sequence[str]) -> str:
    """What a command that succeeds prints; empty where it does not."""
    try:
        ended = run(command, None)
    except OSError:
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    """What a command prints, in plain English, and how it ends."""
    plain = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, errors="replace", check=False)
