"""The attention tax: what a block on every bottleneck adds to the time of a ResNet, in percent, on one core."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.kernels_peers import NAME as PEER
from tests.benchmarks.kernels_peers import OpenVino, has_openvino
from tests.benchmarks.kernels_plain import PLAIN
from tests.benchmarks.kernels_profile import KINDS, Kinds, profiled
from tests.benchmarks.kernels_resnet import Attention, seeded
from tests.benchmarks.kernels_sessions import (
    Feed,
    Opening,
    Shapes,
    open_bound,
    random_feed,
    write_onnx,
    write_plain_onnx,
)
from tests.benchmarks.kernels_timing import Effort, interleaved, on_core, ratio
from tests.benchmarks.report import Finding
from torch import nn

from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.contract.attention import AttentionType

BATCHES = (1, 4)
WITHOUT = "without"
PLAIN_FORM = "plain"
OURS = ("bodies", "kernels")
FORMS = (PLAIN_FORM, *OURS)
TARGETS: dict[AttentionType, dict[int, float]] = {
    AttentionType.SQUEEZE_EXCITATION: {1: 9, 4: 14},
    AttentionType.CBAM: {1: 13, 4: 20},
    AttentionType.SIMAM: {1: 13, 4: 20},
}
"""Attention type -> rows of the batch -> most percent that may be added."""
ABOVE_PEER = 1.0
"""Percentage points that may be added beyond what OpenVINO adds with the plain export, in the same run."""

Writer = Callable[[nn.Module, Shapes, Path], Path]
Sides = dict[str, tuple[Path, Path | None]]
"""Name -> (file, kernel library)."""


@dataclass(frozen=True)
class TaxRow:
    """One attention type at one batch size. `percent`: form -> what it adds; `tax`: that of the quicker of ours.

    OpenVINO's, where it is installed, is of its own time without attention. `kinds`: form -> kind of node -> what it
    adds in percent. `without_ms`: the network without attention.
    """

    attention: str
    rows: int
    without_ms: float
    percent: dict[str, Finding]
    chosen: str
    tax: Finding
    kinds: dict[str, dict[str, float]]

    @property
    def passed(self) -> bool:
        """Whether the tax of what is chosen is within its target."""
        return self.tax.passed


@dataclass(frozen=True)
class Network:
    """Which ResNet: bottlenecks per stage, side of the picture."""

    label: str
    blocks_per_stage: Sequence[int]
    side: int

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of one row."""
        return {"image": (3, self.side, self.side)}


RESNET_50 = Network("ResNet-50, 3x224x224", (3, 4, 6, 3), 224)
SMALL = Network("small ResNet, 3x64x64", (1, 1, 1, 1), 64)


@dataclass(frozen=True)
class Tax:
    """Where files go, the library, which network, for how long, and whether targets apply."""

    folder: Path
    library: Path
    network: Network
    effort: Effort
    judged: bool

    def rows(self, told: Callable[[str], None]) -> list[TaxRow]:
        """Export each network once, time all in turn, see where the time goes; `told` hears what is done."""
        sides = self._sides(told)
        feeds = [random_feed(self.network.inputs, rows) for rows in BATCHES]
        told("ResNets are timed")
        with on_core(0):
            seconds = self._seconds(sides, feeds)
            told("ResNets are profiled")
            ours = {name: side for name, side in sides.items() if not name.endswith(PLAIN_FORM)}
            kinds = profiled(ours, feeds, self.folder)
        found = dict(zip(BATCHES, zip(seconds, kinds, strict=True), strict=True))
        return [self._row(attention, rows, *found[rows]) for attention in TARGETS for rows in BATCHES]

    def _sides(self, told: Callable[[str], None]) -> Sides:
        sides: Sides = {WITHOUT: (self._written(WITHOUT, PLAIN[AttentionType.NONE], told, write_plain_onnx), None)}
        for attention in TARGETS:
            plain = self._written(f"{attention} plain", PLAIN[attention], told, write_plain_onnx)
            ours = self._written(f"{attention} ours", FEATURE_MAP_ATTENTION[attention], told, write_onnx)
            forms = zip(FORMS, ((plain, None), (ours, None), (ours, self.library)), strict=True)
            sides |= {f"{attention} {form}": side for form, side in forms}
        return sides

    def _written(self, name: str, attention: Attention, told: Callable[[str], None], write: Writer) -> Path:
        told(f"ResNet export: {name}")
        network = seeded(self.network.blocks_per_stage, self.network.side, attention)
        return write(network, self.network.inputs, self.folder / f"resnet {name}.onnx")

    def _seconds(self, sides: Sides, feeds: Sequence[Feed]) -> list[dict[str, list[float]]]:
        """For each feed, the seconds of every side, round by round."""
        runners = {name: open_bound(path, feeds[-1], Opening(library)) for name, (path, library) in sides.items()}
        runners |= {
            f"{name} {PEER}": OpenVino(path) for name, path in self._plain_files(sides).items() if has_openvino()
        }
        result = []
        for feed in feeds:
            for runner in runners.values():
                runner.gather([feed])
            runs = {name: runner.run for name, runner in runners.items()}
            result.append(interleaved(runs, self.effort, time.process_time))  # OpenVINO's thread is its own affair
        return result

    def _plain_files(self, sides: Sides) -> dict[str, Path]:
        """What OpenVINO runs: the network without attention, and with it as torch exports it."""
        plain = {str(attention): sides[f"{attention} {PLAIN_FORM}"][0] for attention in TARGETS}
        return {WITHOUT: sides[WITHOUT][0], **plain}

    def _row(
        self, attention: AttentionType, rows: int, seconds: dict[str, list[float]], kinds: dict[str, Kinds]
    ) -> TaxRow:
        without = seconds[WITHOUT]
        percent = {
            form: _percent(f"{attention} {form}, batch {rows}", seconds[f"{attention} {form}"], without)
            for form in FORMS
        }
        chosen = min(OURS, key=lambda form: percent[form].value)
        target = TARGETS[attention][rows]
        if f"{WITHOUT} {PEER}" in seconds:
            above, below = seconds[f"{attention} {PEER}"], seconds[f"{WITHOUT} {PEER}"]
            percent[PEER] = _percent(f"{attention} {PEER}, batch {rows}", above, below)
            target = min(target, percent[PEER].value + ABOVE_PEER)
        return TaxRow(
            attention=attention,
            rows=rows,
            without_ms=statistics.median(without) * 1000,
            percent=percent,
            chosen=chosen,
            tax=replace(percent[chosen], target=target if self.judged else None),
            kinds={form: _added(kinds[f"{attention} {form}"], kinds[WITHOUT]) for form in OURS},
        )


def _percent(name: str, seconds: Sequence[float], without: Sequence[float]) -> Finding:
    found = ratio(seconds, without)
    median, low, high = ((value - 1) * 100 for value in (found.median, found.low, found.high))
    return Finding(name, median, "at most", None, "%", {"low": low, "high": high})


def _added(kinds: Kinds, without: Kinds) -> dict[str, float]:
    """Kind of node -> percent of the whole network without attention."""
    whole = sum(without.values())
    return {kind: (kinds[kind] - without[kind]) / whole * 100 for kind in KINDS}
