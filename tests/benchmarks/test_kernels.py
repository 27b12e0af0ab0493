"""The kernels' benchmark runs, with every row in its table and its report. How fast anything was is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmarks import readme
from tests.benchmarks.kernels_blocks import BLOCKS
from tests.benchmarks.kernels_heads import SHAPES
from tests.benchmarks.kernels_peers import has_openvino
from tests.benchmarks.kernels_race import COLUMNS
from tests.benchmarks.kernels_tax import BATCHES, TARGETS

from fovea.runtime.kernel_library import find_kernel_library

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks.kernels", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


def test_without_a_library_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = bench(f"--kernel-library={tmp_path / 'none.so'}", f"--json={tmp_path / 'report.json'}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no kernel library" in done.stderr


@pytest.mark.skipif(find_kernel_library() is None, reason="no kernels have been built")
def test_a_short_run_shows_every_block_and_every_tax_and_feeds_the_readme(tmp_path: Path) -> None:
    done = bench("--short", f"--json={tmp_path / 'report.json'}")
    assert done.returncode in (0, 1), done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["label"] for row in report["kernels"]] == [block.label for block in BLOCKS]
    assert all({"plain", "body", "float16"} <= set(row["findings"]) <= set(COLUMNS) for row in report["kernels"])
    assert [(row["attention"], row["rows"]) for row in report["tax"]] == [(a, n) for a in TARGETS for n in BATCHES]
    assert [row["label"] for row in report["heads"]] == [str(shape) for shape in SHAPES]
    assert all(("openvino" in row["percent"]) == has_openvino() for row in report["tax"])
    chart = readme.kernels(report)
    assert all(f"| {shape} |" in chart for shape in SHAPES)
    assert all(block.label in done.stdout and f"| {block.label} |" in chart for block in BLOCKS)
    assert all(f"| `{attention}` | {rows} |" in chart for attention in TARGETS for rows in BATCHES)
