#!/usr/bin/env python3
"""Builds the library of fused kernels, libfovea_kernels.so.

cpu/maths.cc is compiled once per instruction set, every other source once; the library exports three symbols.
Only what changed is compiled again. `make kernels` runs this file; the package's own build (hatch_build.py) calls
`build_or_tell`, which never fails: without a compiler or ONNX Runtime's headers there is no library, a note beside its
place says why, and models run from their function bodies. Standard library only: nothing is installed yet when it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from toolchain import HEADER, HEADERS_VARIABLE, NoKernels, Toolchain, find_toolchain, run

HERE = Path(__file__).resolve().parent
LIBRARY_NAME = "libfovea_kernels.so"
NOTE_NAME = "no_kernels.txt"
"""Beside the library's place where there is none: why, in a few words. `fovea.runtime.kernel_library` reads it."""
EXPORTED = ("RegisterCustomOps", "FoveaReadTally", "FoveaListKernels")
_FOLDERS = ("cpu", "operators", "gpu")
INSTRUCTION_SETS: dict[str, tuple[str, ...]] = {
    "portable": (),
    "avx2": ("-mavx2", "-mfma", "-mf16c"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c"),
}
"""What the compiler may use in each. cpu/instruction_set.cc runs none on a processor that lacks a part of it."""

_COMMON = (
    *("-std=c++17", "-fPIC", "-pthread", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-Wall", "-Wextra"),
    # What the kernels' loops need to become vector code; none of them changes what a NaN or an infinity does.
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)
_FAST = ("-O3", "-DNDEBUG")
_SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_ONLY_PORTABLE = "-DFOVEA_ONLY_PORTABLE"
_X86_64 = ("x86_64", "amd64")


@dataclass(frozen=True)
class Plan:
    """What is built from what: `source` has this folder's sources; objects and library go to `folder`."""

    source: Path = HERE
    sanitize: bool = False
    headers: Path | None = None
    """ONNX Runtime's C headers; None looks for them."""
    compiler: str | None = None
    """A command, perhaps with arguments; None takes $CXX, then the first of g++, c++, clang++."""

    @property
    def folder(self) -> Path:
        """Where objects and library go."""
        return self.source / "build" / "sanitize" if self.sanitize else self.source / "build"

    @property
    def library(self) -> Path:
        """The library's path, whether or not it is there."""
        return self.folder / LIBRARY_NAME


@dataclass(frozen=True)
class Unit:
    """One object to compile: a source with its flags."""

    source: Path
    object: Path
    flags: tuple[str, ...]


def build(plan: Plan) -> Path:
    """Compile what changed, link, put the library in place in one step; its path. NoKernels tells why it cannot be.

    A library that was made from other sources does not outlive a failure.
    """
    sources = _digest(_files(plan.source))
    try:
        if not sources:
            raise NoKernels("no sources")
        _build(plan, find_toolchain(plan.compiler, plan.headers), sources)
    except (NoKernels, OSError) as error:
        if _stamp(plan).get("sources") != sources:
            with suppress(OSError):  # the reason at hand says why
                plan.library.unlink()
        if isinstance(error, OSError):
            raise NoKernels(f"{error.filename or plan.folder}: {error.strerror}") from error
        raise
    return plan.library


def build_or_tell(plan: Plan) -> str | None:
    """None where the library is in place; else the reason in a few words, which is left in a note beside its place.

    A library that was made from the same sources stays, where its compiler is gone.
    """
    note = plan.folder / NOTE_NAME
    try:
        build(plan)
    except NoKernels as error:
        if not plan.library.exists():
            return _noted(str(error), note)
    note.unlink(missing_ok=True)
    return None


def _noted(reason: str, note: Path) -> str:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{reason}\n", "utf-8")
    except OSError as trouble:
        return f"{reason} ({trouble.strerror})"
    return reason


def _build(plan: Plan, tools: Toolchain, sources: str) -> None:
    units = _units(plan, tools)
    plan.folder.mkdir(parents=True, exist_ok=True)
    _clear(plan.folder, {unit.object.stem for unit in units})
    with ThreadPoolExecutor(max_workers=_cores()) as pool:
        keys = list(pool.map(lambda unit: _compile(unit, plan, tools), units))
    flags = _link_flags(plan)
    stamp = {"sources": sources, "key": _hash([*keys, *tools.command, tools.version, *flags])}
    if plan.library.exists() and _stamp(plan) == stamp:
        return
    exports = plan.folder / "exports.map"
    exports.write_text(f"{{ global: {'; '.join(EXPORTED)}; local: *; }};\n")
    objects = [str(unit.object) for unit in units]
    link = [*tools.command, *flags, f"-Wl,--version-script={exports}", *objects]
    _make(plan, plan.library, link, "the library was not linked")
    _stamp_path(plan).write_text(json.dumps(stamp))


def _clear(folder: Path, kept: Collection[str]) -> None:
    """Take away what belongs to sources that are gone."""
    for path in folder.iterdir():
        if path.suffix in (".o", ".key", ".warnings") and path.stem not in kept:
            path.unlink()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _units(plan: Plan, tools: Toolchain) -> list[Unit]:
    x86_64 = tools.machine.split("-")[0] in _X86_64
    base = (*_COMMON, *(_SANITIZED if plan.sanitize else _FAST), f"-isystem{tools.headers}", f"-I{plan.source}")
    base = base if x86_64 else (*base, _ONLY_PORTABLE)
    maths = plan.source / "cpu" / "maths.cc"
    per_set = [
        Unit(maths, plan.folder / f"maths.{name}.o", (*base, f"-DFOVEA_ISA={name}", *flags))
        for name, flags in INSTRUCTION_SETS.items()
        if x86_64 or name == "portable"
    ]
    once = [path for path in _files(plan.source) if path.suffix == ".cc" and path != maths]
    return per_set + [Unit(source, plan.folder / f"{source.stem}.o", base) for source in once]


def _link_flags(plan: Plan) -> tuple[str, ...]:
    # -z defs: a kernel that somebody forgot to write is met here and not when the library is loaded.
    shared = ("-shared", "-fPIC", "-pthread", "-Wl,-z,relro,-z,now")
    return (*shared, *_SANITIZED) if plan.sanitize else (*shared, "-Wl,-z,defs", "-Wl,-s")


def _compile(unit: Unit, plan: Plan, tools: Toolchain) -> str:
    """The key of an object that is up to date afterwards: a hash of all that goes into it."""
    shared = [path for path in _files(plan.source) if path.suffix != ".cc"]
    inputs = _digest([unit.source, *shared, tools.headers / HEADER])
    key = _hash([*tools.command, tools.version, *unit.flags, inputs])
    kept = unit.object.with_suffix(".key")
    if not unit.object.exists() or not kept.exists() or kept.read_text() != key:
        name = str(unit.source.relative_to(plan.source))
        said = _make(plan, unit.object, [*tools.command, *unit.flags, "-c", name], f"{name} was not compiled")
        unit.object.with_suffix(".warnings").write_text(said)
        kept.write_text(key)
    return key


def _make(plan: Plan, target: Path, command: Sequence[str], failure: str) -> str:
    """Run a compiler that writes `target`, which is replaced in one step; what it said on the way."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        ended = run([*command, "-o", str(part)], plan.source)
        if ended.returncode != 0:
            raise NoKernels(f"{failure}: {_first_error(ended.stderr)}", ended.stderr)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return ended.stderr


def _first_error(text: str) -> str:
    lines = text.strip().splitlines() or ["no message"]
    line = next((line for line in lines if ": error:" in line or "undefined reference" in line), lines[-1])
    return line.strip()[:200]


def warnings(plan: Plan) -> str:
    """What the compiler had to say of the objects that are in place."""
    return "".join(path.read_text() for path in sorted(plan.folder.glob("*.warnings")))


def _files(source: Path) -> list[Path]:
    """All that is compiled or included, in order."""
    kinds = (".cc", ".h", ".inc")
    top = [path for path in source.glob("*.*") if path.suffix in kinds]
    below = [path for name in _FOLDERS for path in (source / name).rglob("*.*") if path.suffix in kinds]
    return sorted([*top, *below])


def _digest(paths: Iterable[Path]) -> str:
    """A hash of names and contents; empty for none."""
    parts = [f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths]
    return _hash(parts) if parts else ""


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _stamp_path(plan: Plan) -> Path:
    return plan.folder / "library.json"


def _stamp(plan: Plan) -> dict[str, str]:
    """What the library in place was built from; empty where nobody knows."""
    try:
        found = json.loads(_stamp_path(plan).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def in_one_line(reason: str) -> str:
    """What a build says that has no library to show."""
    return f"no fused kernels: {reason}; models run from their bodies"


def main(words: Sequence[str] | None = None) -> int:
    """Build; status 1 and the compiler's own words where that fails or warns, unless the library is optional."""
    parser = argparse.ArgumentParser(prog="build.py", description="Builds the library of fused attention kernels.")
    parser.add_argument("--optional", action="store_true", help="one line and status 0 where it cannot be built")
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer and UBSan, in another folder")
    parser.add_argument("--headers", type=Path, help=f"folder of {HEADER} [{HEADERS_VARIABLE}]")
    parser.add_argument("--compiler", help="C++ compiler [CXX]")
    given = parser.parse_args(words)
    plan = replace(Plan(), sanitize=given.sanitize, headers=given.headers, compiler=given.compiler)
    if given.optional:
        if reason := build_or_tell(plan):
            print(in_one_line(reason))
        return 0
    try:
        print(build(plan))
    except NoKernels as error:
        print(f"{error.details}{in_one_line(str(error))}", file=sys.stderr)
        return 1
    said = warnings(plan)
    print(said, end="", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
