"""What a processor is told to be, and the kernels' code for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fovea.runtime.processor import Processor, this_processor

AVX2 = frozenset({"avx2", "fma", "f16c"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("flags", "wanted", "code"),
    [
        (AVX512, "", "avx512"),
        (AVX512, "avx2", "avx2"),
        (AVX512, "portable", "portable"),
        (AVX512, "nonsense", "avx512"),
        (AVX512 - {"avx512vl"}, "", "avx2"),
        (AVX2, "avx512", "avx2"),
        (AVX2 - {"f16c"}, "", "portable"),
        (frozenset({"asimd"}), "", "portable"),
    ],
)
def test_the_kernels_run_the_best_code_that_is_possible_or_the_one_that_is_asked_for(
    flags: frozenset[str], wanted: str, code: str
) -> None:
    assert Processor("any", flags).kernel_code({"FOVEA_KERNELS_ISA": wanted}) == code


def test_linux_tells_name_and_flags_of_the_first_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nmodel name\t: Other\n")
    assert this_processor(file) == Processor("Fast", frozenset({"fpu", "avx2"}))
    assert this_processor(file).instruction_set == "avx2"


def test_where_the_system_does_not_tell_the_architecture_must_do(tmp_path: Path) -> None:
    assert this_processor(tmp_path / "none") == Processor(os.uname().machine, frozenset())
