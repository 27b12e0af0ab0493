"""Time inside attention where function bodies run: a short-lived twin session, profiled, tells it operator by operator.

ONNX Runtime inlines a body under the prefix `_inlfunc_<Op>_` (`_inlfunc_<Op>_token_<n>_` for later blocks). The prefix
survives its optimiser in node names (`fused _inlfunc_CBAM_CBAM/fc1`) or, where a node is named after its output, in
that (`_inlfunc_CBAM_Map_nchwc`). What the optimiser inserts, such as layout changes, bears no prefix: it counts where
both of its neighbours belong to one block. A fused node of two blocks counts for the first name in it.

The times are those of the calling thread: on a GPU they are what it took to launch the nodes, not to run them. So
no version is profiled there (`LoadedVersion.profiled_operators`).
"""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fovea.contract.operators import OPERATORS
from fovea.runtime.arrays import Arrays
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.ort_session import open_session
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.temporary_folders import TemporaryFolder

_BLOCK = re.compile(r"_inlfunc_(?P<operator>[A-Za-z0-9]+)_(?:token_\d+_)?")
_INSERTED = frozenset({"ReorderInput", "ReorderOutput", "Cast", "MemcpyFromHost", "MemcpyToHost"})
_NAME_END = "_kernel_time"
_RUNS = 5


@dataclass(frozen=True)
class NodeRun:
    """One execution of one graph node. `block` is the text that ties it to an attention block, if anything does."""

    name: str
    op_type: str
    index: str
    start_us: int
    duration_us: int
    block: str | None

    @property
    def end_us(self) -> int:
        """When the event ended."""
        return self.start_us + self.duration_us

    @property
    def operator(self) -> str | None:
        """The attention operator it belongs to."""
        match = _BLOCK.match(self.block) if self.block else None
        return match["operator"] if match else self.block


def profile_attention(version: LoadedVersion, inputs: Arrays) -> dict[str, float]:
    """Seconds inside each attention operator in one run of this batch: the sum over its nodes of their median times.

    Opens a twin of the version's session and closes it; empty for a model without attention operators.
    """
    if version.kernels == "none":
        return {}
    with TemporaryFolder() as folder:
        settings = replace(version.settings, profile_prefix=folder / "run")
        session = open_session(version.model, settings)
        signature = Signature.of(version.card, version.card.outputs, version.max_batch_rows)
        twin = ModelSession(session, signature, settings.device)
        for _ in range(1 + _RUNS):
            twin.infer(inputs)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return operator_seconds(runs_of_nodes(events)[1:])


def operator_seconds(runs: Sequence[Sequence[NodeRun]]) -> dict[str, float]:
    """Seconds per operator in a typical run: per node the median over `runs`, then summed."""
    taken: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for run in runs:
        for node, duration_us in _durations(run).items():
            taken[node].append(duration_us)
    seconds: dict[str, float] = defaultdict(float)
    for (operator, _, _), durations_us in taken.items():
        seconds[operator] += statistics.median(durations_us) * 1e-6
    return dict(seconds)


def _durations(run: Sequence[NodeRun]) -> dict[tuple[str, str, str], int]:
    """(operator, node name, node index) -> microseconds of this run; a node in a loop adds up."""
    durations: dict[tuple[str, str, str], int] = defaultdict(int)
    for node in outermost(with_inserted(run)):
        if node.operator is not None:
            durations[node.operator, node.name, node.index] += node.duration_us
    return durations


def with_inserted(run: Sequence[NodeRun]) -> list[NodeRun]:
    """The same run, where nodes that the optimiser inserted inside one block belong to it. In order of start."""
    ordered = sorted(run, key=lambda node: (node.start_us, -node.duration_us))
    known = [node.block for node in ordered if not _is_inserted(node)]
    result = []
    passed = 0
    for node in ordered:
        if not _is_inserted(node):
            passed += 1
        elif 0 < passed < len(known) and known[passed - 1] == known[passed]:
            node = replace(node, block=known[passed])
        result.append(node)
    return result


def _is_inserted(node: NodeRun) -> bool:
    return node.block is None and (node.op_type in _INSERTED or not node.name)


def outermost(run: Iterable[NodeRun]) -> list[NodeRun]:
    """Without nodes that ran inside an attention node's own sub-graph: that node's time has them already."""
    kept: list[NodeRun] = []
    busy_until_us = -1
    for node in run:
        inside = node.end_us <= busy_until_us
        if not inside:
            kept.append(node)
        if node.block is not None and not inside:
            busy_until_us = max(busy_until_us, node.end_us)
    return kept


def runs_of_nodes(events: Sequence[Mapping[str, Any]]) -> list[list[NodeRun]]:
    """The node executions of a profile, run by run, in order."""
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == "model_run")
    nodes = [_node_run(event) for event in events if event["cat"] == "Node" and event["name"].endswith(_NAME_END)]
    return [[node for node in nodes if start <= node.start_us <= end] for start, end in spans]


def _node_run(event: Mapping[str, Any]) -> NodeRun:
    name = event["name"].removesuffix(_NAME_END)
    details = event["args"]
    op_type = details["op_name"]
    return NodeRun(name, op_type, details["node_index"], event["ts"], event["dur"], _block(name, op_type))


def _block(name: str, op_type: str) -> str | None:
    """The prefix of an inlined body, or the operator itself where a kernel runs it; None for other local functions."""
    for match in _BLOCK.finditer(name):
        if match["operator"] in OPERATORS:
            return match[0]
    return op_type if op_type in OPERATORS else None
