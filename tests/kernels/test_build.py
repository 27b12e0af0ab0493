"""The library's build: what it compiles, when, what it exports, and what it says where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fovea.runtime.processor import KERNEL_CODE
from kernel_builds import builder

SOURCES = {
    "cpu/maths.h": "int Answer(int);\n",
    "cpu/maths.cc": '#include "cpu/maths.h"\n'
    "namespace FOVEA_ISA { int Twice(int x) { return 2 * x; } }\n"
    "#ifdef __AVX512F__\n#define WIDE 1\n#endif\n",
    "operators/first.cc": '#include "cpu/maths.h"\nint Answer(int x) { return x; }\n',
    "operators/second.cc": "int Unused() { return 1; }\n",
    "library.cc": '#include <onnxruntime_c_api.h>\n#include "cpu/maths.h"\n'
    '#define EXPORTED __attribute__((visibility("default")))\n'
    'extern "C" EXPORTED void* RegisterCustomOps(void*, const void*) { return nullptr; }\n'
    'extern "C" EXPORTED size_t FoveaReadTally(void*, size_t size) { return Answer(static_cast<int>(size)); }\n'
    'extern "C" EXPORTED size_t FoveaListKernels(void*, size_t) { return 0; }\n'
    'extern "C" EXPORTED int Secret() { return 1; }\n',
}

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("g++", "nm"))), reason="g++ or nm is not installed")


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """A build of five tiny sources."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return builder.Plan(source=tmp_path)


@pytest.fixture
def recompiled(plan: Any) -> Callable[[], set[str]]:
    """Builds, and tells which files were written anew."""

    def build() -> set[str]:
        before = {path: path.stat().st_mtime_ns for path in plan.folder.glob("*")}
        builder.build(plan)
        made = (path for path in plan.folder.glob("*") if path.suffix in (".o", ".so"))
        return {path.name for path in made if path.stat().st_mtime_ns != before.get(path)}

    return build


def exported(library: Path) -> set[str]:
    listed = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines()}


def test_library_exports_three_symbols_and_no_other(plan: Any) -> None:
    assert exported(builder.build(plan)) == set(builder.EXPORTED)


def test_maths_is_compiled_once_for_each_instruction_set(plan: Any, recompiled: Callable[[], set[str]]) -> None:
    once = {"first.o", "second.o", "library.o", "libfovea_kernels.so"}
    x86_64 = os.uname().machine == "x86_64"
    sets = ("portable", "avx2", "avx512") if x86_64 else ("portable",)
    assert recompiled() == once | {f"maths.{name}.o" for name in sets}
    for name in sets:
        symbols = subprocess.run(["nm", "-C", plan.folder / f"maths.{name}.o"], capture_output=True, text=True)
        assert f"{name}::Twice" in symbols.stdout


def test_the_server_asks_of_a_processor_what_the_code_is_compiled_for() -> None:
    compiled = {name: {flag.removeprefix("-m") for flag in flags} for name, flags in builder.INSTRUCTION_SETS.items()}
    assert compiled == KERNEL_CODE


def test_code_for_one_instruction_set_never_stands_in_for_anothers() -> None:
    """The linker keeps one of several functions of the same name: the wrong one would end an older processor."""
    plan = builder.Plan()
    builder.build(plan)
    for path in plan.folder.glob("maths.*.o"):
        name = path.suffixes[0].removeprefix(".")
        listed = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True, check=True).stdout
        shared = [line for line in listed.splitlines() if line.split()[1] in "WVu"]
        assert [line for line in shared if f"5fovea{len(name)}{name}" not in line] == []  # fovea::name::


def test_nothing_is_built_twice(recompiled: Callable[[], set[str]]) -> None:
    recompiled()
    assert recompiled() == set()


def test_changed_source_is_compiled_alone(plan: Any, recompiled: Callable[[], set[str]]) -> None:
    recompiled()
    (plan.source / "operators/second.cc").write_text("int Unused() { return 2; }\n")
    assert recompiled() == {"second.o", "libfovea_kernels.so"}


def test_changed_header_compiles_all_again(plan: Any, recompiled: Callable[[], set[str]]) -> None:
    everything = recompiled()
    (plan.source / "cpu/maths.h").write_text("int Answer(int);\nint More(int);\n")
    assert recompiled() == everything


def test_source_that_is_gone_leaves_the_library_and_takes_its_warnings_along(
    plan: Any, recompiled: Callable[[], set[str]]
) -> None:
    (plan.source / "operators/second.cc").write_text("int Unused(int x) { return 2; }\n")
    recompiled()
    (plan.source / "operators/second.cc").unlink()
    assert recompiled() == {"libfovea_kernels.so"}
    assert builder.warnings(plan) == ""


def test_warnings_are_kept_for_those_who_want_none(plan: Any) -> None:
    (plan.source / "operators/second.cc").write_text("int Unused(int x) { return 2; }\n")
    builder.build(plan)
    builder.build(plan)
    assert "unused parameter" in builder.warnings(plan)
    (plan.source / "operators/second.cc").write_text("int Unused(int) { return 2; }\n")
    builder.build(plan)
    assert builder.warnings(plan) == ""


def test_without_a_compiler_there_is_a_note_and_no_library(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(plan.source))
    assert builder.build_or_tell(plan) == "no C++ compiler"
    assert (plan.folder / builder.NOTE_NAME).read_text() == "no C++ compiler\n"
    assert not plan.library.exists()


def test_compiler_that_is_not_there_is_named(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    assert builder.build_or_tell(plan) == "no C++ compiler 'no-such-compiler -m64'"


def test_library_outlives_the_compiler_while_its_sources_do_not_change(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.build(plan)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert builder.build_or_tell(plan) is None
    assert plan.library.exists()
    with pytest.raises(builder.NoKernels):
        builder.build(plan)
    (plan.source / "operators/second.cc").write_text("int Unused() { return 3; }\n")
    assert builder.build_or_tell(plan) == "no C++ compiler 'no-such-compiler'"
    assert not plan.library.exists()


def test_headers_that_are_not_where_they_are_said_to_be(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(builder.HEADERS_VARIABLE, str(plan.source))
    assert builder.build_or_tell(plan) == f"no onnxruntime_c_api.h in {plan.source}"


def test_error_is_one_line_and_an_old_library_does_not_survive_it(plan: Any) -> None:
    builder.build(plan)
    (plan.source / "operators/first.cc").write_text("int Answer(int x) { return y; }\n")
    reason = builder.build_or_tell(plan)
    assert reason is not None
    assert reason.startswith("operators/first.cc was not compiled: ")
    assert "\n" not in reason
    assert "'y' was not declared" in reason
    assert not plan.library.exists()
    assert list(plan.folder.glob("*.part")) == []


def test_kernel_that_nobody_wrote_is_met_when_linking(plan: Any) -> None:
    (plan.source / "operators/first.cc").write_text("")
    with pytest.raises(builder.NoKernels, match=r"the library was not linked: .*Answer"):
        builder.build(plan)


def test_note_goes_away_with_what_it_told(plan: Any) -> None:
    text = (plan.source / "library.cc").read_text()
    (plan.source / "library.cc").write_text("wrong")
    assert builder.build_or_tell(plan)
    (plan.source / "library.cc").write_text(text)
    assert builder.build_or_tell(plan) is None
    assert not (plan.folder / builder.NOTE_NAME).exists()


def test_sanitized_library_is_another_one(plan: Any) -> None:
    sanitized = builder.build(builder.Plan(source=plan.source, sanitize=True))
    assert not plan.library.exists()
    symbols = subprocess.run(["nm", "-D", sanitized], capture_output=True, text=True, check=True).stdout
    assert "__asan_init" in symbols
    assert set(builder.EXPORTED) <= exported(sanitized)


def test_folder_that_cannot_be_written_is_a_reason(plan: Any) -> None:
    (plan.source / "build").write_text("in the way")
    reason = builder.build_or_tell(plan)
    assert reason is not None
    assert "build" in reason
