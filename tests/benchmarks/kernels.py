"""`make bench-kernels`: are the fused kernels as fast as they have to be? One core, both sides of every ratio in turn.

Targets apply to AVX-512 code; with less the same table is shown without. FOVEA_KERNELS_ISA chooses the code.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from tests.benchmarks.kernels_blocks import BLOCKS
from tests.benchmarks.kernels_heads import SHAPES, Heads
from tests.benchmarks.kernels_race import Race
from tests.benchmarks.kernels_report import Report, show, write
from tests.benchmarks.kernels_tax import RESNET_50, SMALL, Tax
from tests.benchmarks.kernels_timing import Effort
from tests.benchmarks.load import BenchmarkImpossible
from tests.benchmarks.machine import describe

from fovea.contract.errors import FoveaError
from fovea.runtime.kernel_library import find_kernel_library
from fovea.runtime.processor import this_processor

TARGETS_FOR = "avx512"
KERNELS_FULL, KERNELS_SHORT = Effort(21, 0.01, 5), Effort(3, 0.004, 3)
HEADS_SHORT = Effort(1, 0.0, 1)
TAX_FULL, TAX_SHORT = Effort(5, 0.0, 2), Effort(3, 0.0, 3)


def main() -> int:
    """Measure, print, write JSON; status 1 where a target is missed, 2 where nothing can be measured."""
    arguments = _arguments()
    torch.set_num_threads(1)
    try:
        library = find_kernel_library(arguments.kernel_library)
        if library is None:
            raise BenchmarkImpossible("there is no kernel library; `make kernels` builds it")
        report = _measure(library, arguments.short)
    except (BenchmarkImpossible, FoveaError) as error:
        print(f"bench-kernels: {error}", file=sys.stderr)
        return 2
    show(report)
    write(arguments.json, report)
    return 0 if report.passed else 1


def _measure(library: Path, short: bool) -> Report:
    machine = describe() | {"kernels": this_processor().kernel_code(os.environ)}
    judged = machine["kernels"] == TARGETS_FOR
    network, tax_effort = (SMALL, TAX_SHORT) if short else (RESNET_50, TAX_FULL)
    progress = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="fovea-bench-") as name:
        race = Race(Path(name), library, KERNELS_SHORT if short else KERNELS_FULL, judged)
        kernels = []
        for block in BLOCKS:
            progress.print(block.label)
            kernels.append(race.row(block))
        progress.print("multi-head attention")
        rows = Heads(Path(name), library, HEADS_SHORT if short else KERNELS_FULL, judged)
        heads = tuple(rows.row(shape) for shape in SHAPES)
        tax = Tax(Path(name), library, network, tax_effort, judged and not short)
        return Report(
            machine, _notes(short, judged), tuple(kernels), heads, network.label, tuple(tax.rows(progress.print))
        )


def _notes(short: bool, judged: bool) -> tuple[str, ...]:
    notes = {"a short run: rough figures, a small network": short, "targets are for AVX-512": not judged}
    return tuple(note for note, applies in notes.items() if applies)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kernels", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute instead of five; rough figures")
    parser.add_argument("--kernel-library", type=Path, help="the library to measure, if not the one that was built")
    parser.add_argument("--json", type=Path, default=Path("build/bench-kernels.json"), help="where the figures go")
    arguments = parser.parse_args()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
