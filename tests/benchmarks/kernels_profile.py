"""Where the attention tax goes, by ONNX Runtime's profiler: each kind of node against the network without attention.

Kernels take and give plain tensors, and the convolutions around them blocked ones: hence the reorders. Without
attention, the last convolution of a bottleneck does the residual sum and the ReLU as well; with it, convolutions are
rid of that, and it counts as attention, whose nodes do it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.kernels_sessions import Feed, Opening, bound, open_file

from fovea.runtime.profile import NodeRun, runs_of_nodes

RUNS = 7
KIND_OF_OPERATOR = {
    "ReorderInput": "reorders",
    "ReorderOutput": "reorders",
    "Conv": "convolutions",
    "FusedConv": "convolutions",
}
KINDS = ("attention", "reorders", "convolutions", "rest")

Kinds = dict[str, float]
"""Kind of node -> milliseconds."""


def kind_of(node: NodeRun) -> str:
    """Layout changes count as such wherever they stand; what else bears an attention block's name is attention."""
    kind = KIND_OF_OPERATOR.get(node.op_type, "rest")
    return "attention" if node.operator is not None and kind != "reorders" else kind


def milliseconds_by_kind(runs: Sequence[Sequence[NodeRun]]) -> Kinds:
    """Of an undisturbed run: per node the least over `runs`, then summed."""
    microseconds: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run in runs:
        for node in run:
            microseconds[kind_of(node), node.name, node.index].append(node.duration_us)
    result = dict.fromkeys(KINDS, 0.0)
    for (kind, _, _), values in microseconds.items():
        result[kind] += min(values) / 1000
    return result


def profiled(
    sides: Mapping[str, tuple[Path, Path | None]], feeds: Sequence[Feed], folder: Path
) -> list[dict[str, Kinds]]:
    """For each feed, side -> milliseconds by kind. `sides`: name -> (file, kernel library); run in turn, one thread."""
    sessions = {}
    for number, (name, (path, library)) in enumerate(sides.items()):
        sessions[name] = open_file(path, Opening(library, profile_prefix=folder / f"profile-{number}"))
    largest_first = sorted(feeds, key=lambda feed: -len(next(iter(feed.values()))))
    runners = {name: bound(session, largest_first[0]) for name, session in sessions.items()}
    for feed in feeds:
        for runner in runners.values():
            runner.gather([feed])
        for _ in range(1 + RUNS):
            for runner in runners.values():
                runner.run()
    return _by_feed({name: _runs(Path(session.end_profiling())) for name, session in sessions.items()}, len(feeds))


def _runs(profile: Path) -> list[list[NodeRun]]:
    return runs_of_nodes(json.loads(profile.read_text("utf-8")))


def _by_feed(runs: Mapping[str, list[list[NodeRun]]], feeds: int) -> list[dict[str, Kinds]]:
    """The first run of every feed is its warm-up."""
    starts = [1 + number * (1 + RUNS) for number in range(feeds)]
    return [{name: milliseconds_by_kind(all_[start : start + RUNS]) for name, all_ in runs.items()} for start in starts]
