"""One block: the fused kernel against copying, against torch's plain export, against its own body, on 2 threads."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tests.benchmarks.kernels_blocks import ROWS, Block
from tests.benchmarks.kernels_sessions import (
    Feed,
    Opening,
    bound,
    open_bound,
    open_file,
    random_feed,
    write_onnx,
    write_plain_onnx,
)
from tests.benchmarks.kernels_timing import Effort, interleaved, on_core, ratio
from tests.benchmarks.load import BenchmarkImpossible
from tests.benchmarks.report import Finding

from fovea.runtime.ort_session import fused_operators
from fovea.runtime.session import ModelSession

THREADS = 2
LONGER_ON_TWO_CORES = 3
"""Both cores have to be quiet at once: longer slices find such a moment on a shared machine."""

COLUMNS: dict[str, tuple[str, str, Literal["at least", "at most"]]] = {
    "copy": ("fused", "copy", "at most"),
    "plain": ("plain", "fused", "at least"),
    "body": ("body", "fused", "at least"),
    "threads": ("1 thread", "2 threads", "at least"),
    "float16": ("fused", "float16", "at least"),
}
"""Column -> whose time is divided by whose, and on which side of its target the ratio has to be."""

LARGEST_ERROR = 1e-3
"""Between both sides' float32 answers, of numbers around 1: this is no test, it keeps a wrong kernel from winning."""


@dataclass(frozen=True)
class KernelRow:
    """What was measured of one block. `findings` by column; no `fused` time: the library has no kernel for it."""

    label: str
    microseconds: dict[str, float]
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether there is a kernel and it reaches its targets."""
        return "fused" in self.microseconds and all(finding.passed for finding in self.findings.values())


@dataclass(frozen=True)
class Race:
    """Where files go, the library that is measured, for how long, and whether targets apply."""

    folder: Path
    library: Path
    effort: Effort
    judged: bool

    def row(self, block: Block) -> KernelRow:
        """Export both sides, check that they agree, time them in turn on one core and then on two."""
        files = self._export(block)
        seconds = self._on_one_core(block, files)
        if "fused" in seconds and len(os.sched_getaffinity(0)) >= THREADS:
            seconds |= self._on_two_cores(block, files["ours"])
        microseconds = {side: statistics.median(times) * 1e6 for side, times in seconds.items()}
        targets = block.targets if self.judged else {}
        return KernelRow(block.label, microseconds, dict(_findings(block.label, seconds, targets)))

    def _export(self, block: Block) -> dict[str, Path]:
        ours, plain = block.modules()
        name = "".join(letter if letter.isalnum() else "-" for letter in block.label)
        return {
            "plain": write_plain_onnx(plain, block.inputs, self.folder / f"{name}-plain.onnx"),
            "ours": write_onnx(ours, block.inputs, self.folder / f"{name}.onnx"),
            "half": write_onnx(ours, block.inputs, self.folder / f"{name}-half.onnx", torch.float16),
        }

    def _on_one_core(self, block: Block, files: dict[str, Path]) -> dict[str, list[float]]:
        feed, half = random_feed(block.inputs, ROWS), random_feed(block.inputs, ROWS, np.float16)
        with on_core(0):
            sides = {
                "plain": open_bound(files["plain"], feed, Opening()),
                "body": open_bound(files["ours"], feed, Opening()),
            }
            fused = open_file(files["ours"], Opening(self.library))
            if fused_operators(fused):
                sides["fused"] = bound(fused, feed)
                sides["float16"] = open_bound(files["half"], half, Opening(self.library))
            _require_agreement(block, sides, {name: half if name == "float16" else feed for name in sides})
            runs: dict[str, Callable[[], object]] = {name: session.run for name, session in sides.items()}
            if block.copied:
                runs["copy"] = partial(np.copyto, np.empty_like(feed["x"]), feed["x"])
            return interleaved(runs, self.effort)

    def _on_two_cores(self, block: Block, ours: Path) -> dict[str, list[float]]:
        """The second thread has a core of its own: how work is shared is measured, not where a scheduler puts it."""
        feed = random_feed(block.inputs, ROWS)
        with on_core(1):
            two = open_bound(ours, feed, Opening(self.library, THREADS))
        with on_core(0):
            one = open_bound(ours, feed, Opening(self.library))
            sides = {"1 thread": one.run, "2 threads": two.run}
            return interleaved(sides, self.effort.times(LONGER_ON_TWO_CORES), time.perf_counter)


def _require_agreement(block: Block, sides: dict[str, ModelSession], feeds: dict[str, Feed]) -> None:
    """Taking an answer lets go of the batch: each session has its own again afterwards."""
    answers = {name: _answer(session) for name, session in sides.items()}
    for name, session in sides.items():
        session.gather([feeds[name]])
    expected = answers["plain"]
    for name in sides:
        error = float(np.max(np.abs(answers[name] - expected)))
        if name != "float16" and not error <= LARGEST_ERROR:
            raise BenchmarkImpossible(f"{block.label}: {name} and plain answers differ by {error:.2g}")


def _answer(session: ModelSession) -> np.ndarray:
    session.run()
    (answer,) = session.split([ROWS])[0].values()
    return np.array(answer, np.float32)


def _findings(
    label: str, seconds: Mapping[str, Sequence[float]], targets: Mapping[str, float]
) -> Iterator[tuple[str, Finding]]:
    for column, (above, below, sense) in COLUMNS.items():
        if above in seconds and below in seconds:
            found = ratio(seconds[above], seconds[below])
            details = {"low": found.low, "high": found.high}
            yield column, Finding(f"{label}: {column}", found.median, sense, targets.get(column), "x", details)
