"""Multi-head attention against ONNX Runtime's three forms of it, each in the layout that it takes, on one core."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tests.benchmarks.kernels_sessions import Feed, Opening, open_bound
from tests.benchmarks.kernels_timing import Effort, interleaved, on_core, ratio
from tests.benchmarks.load import BenchmarkImpossible
from tests.benchmarks.report import Finding

from fovea.contract.operators import DOMAIN, VERSION
from fovea.export.function_bodies import OPSET
from fovea.runtime.session import ModelSession

OURS = "kernel"
MICROSOFT = "com.microsoft"
LARGEST_ERROR = 1e-4


@dataclass(frozen=True)
class Shape:
    """Queries, keys and values (batch, heads, length, depth); `target`: how much quicker than the best other form."""

    batch: int
    heads: int
    length: int
    depth: int
    causal: bool = False
    target: float | None = None

    def __str__(self) -> str:
        sizes = f"{self.batch} x {self.heads} heads of {self.depth}, {self.length} tokens"
        return f"{sizes}, causal" if self.causal else sizes

    @property
    def useful_gflop(self) -> float:
        """Multiplications and additions of the scores that count."""
        pairs = self.batch * self.heads * self.length * (self.length + 1 if self.causal else 2 * self.length) / 2
        return 4e-9 * pairs * self.depth


SHAPES = (
    Shape(1, 8, 1024, 64, target=1.0),
    Shape(1, 12, 2048, 64, target=1.0),
    Shape(1, 8, 1024, 64, causal=True, target=1.8),
    Shape(1, 12, 2048, 64, causal=True, target=1.8),
    Shape(8, 12, 197, 64, target=1.3),
    Shape(8, 12, 64, 64, target=1.0),
    Shape(8, 4, 16, 32, target=1.0),
    Shape(1, 8, 1, 64),
)


@dataclass(frozen=True)
class HeadRow:
    """What was measured of one shape. `finding`: the best other form's time divided by ours."""

    label: str
    microseconds: dict[str, float]
    best: str
    gflop_per_s: float
    finding: Finding

    @property
    def passed(self) -> bool:
        """Whether the kernel reaches its target."""
        return self.finding.passed


@dataclass(frozen=True)
class Heads:
    """Where files go, the library, for how long, and whether targets apply."""

    folder: Path
    library: Path
    effort: Effort
    judged: bool

    def row(self, shape: Shape) -> HeadRow:
        """All forms in turn, after they were seen to agree."""
        with on_core(0):
            sides = {name: self._opened(name, shape) for name in (OURS, *FORMS)}
            _require_agreement(shape, {name: _answer(session, shape) for name, session in sides.items()})
            for name, session in sides.items():
                session.gather([_feed(shape, merged=name == MERGED)])  # taking the answers has let go of the batch
            seconds = interleaved({name: session.run for name, session in sides.items()}, self.effort)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        best = min(FORMS, key=lambda name: medians[name])
        found = ratio(seconds[best], seconds[OURS])
        details = {"low": found.low, "high": found.high}
        target = shape.target if self.judged else None
        return HeadRow(
            label=str(shape),
            microseconds={name: seconds_s * 1e6 for name, seconds_s in medians.items()},
            best=best,
            gflop_per_s=shape.useful_gflop / medians[OURS],
            finding=Finding(f"multi-head attention, {shape}", found.median, "at least", target, "x", details),
        )

    def _opened(self, name: str, shape: Shape) -> ModelSession:
        path = self.folder / f"heads {name.replace(':', ' ')} {shape}.onnx"
        graph = _kernel_graph(shape) if name == OURS else FORMS[name](shape)
        imports = [
            helper.make_opsetid("", OPSET),
            helper.make_opsetid(DOMAIN, VERSION),
            helper.make_opsetid(MICROSOFT, 1),
        ]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
        return open_bound(path, _feed(shape, merged=name == MERGED), Opening(self.library if name == OURS else None))


def _feed(shape: Shape, *, merged: bool) -> Feed:
    random = np.random.default_rng(0)
    sizes = (shape.batch, shape.heads, shape.length, shape.depth)
    feed = {name: random.standard_normal(sizes).astype(np.float32) for name in "qkv"}
    return {name: _merged(array) for name, array in feed.items()} if merged else feed


def _merged(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, H, T, d) -> (B, T, H · d)."""
    return np.ascontiguousarray(array.transpose(0, 2, 1, 3)).reshape(len(array), array.shape[2], -1)


def _answer(session: ModelSession, shape: Shape) -> NDArray[np.float32]:
    session.run()
    (answer,) = session.split([shape.batch])[0].values()
    return answer.copy() if answer.ndim == 3 else _merged(answer)


def _require_agreement(shape: Shape, answers: dict[str, NDArray[np.float32]]) -> None:
    for name, answer in answers.items():
        error = float(np.max(np.abs(answer - answers[OURS])))
        if not error <= LARGEST_ERROR:
            raise BenchmarkImpossible(f"{shape}: {name} and {OURS} differ by {error:.2g}")


def _graph(nodes: list[onnx.NodeProto], sizes: list[int | str], constants: list[onnx.TensorProto]) -> onnx.GraphProto:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *sizes]) for name in "qkv"]
    return helper.make_graph(
        nodes, "heads", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *sizes])], constants
    )


def _kernel_graph(shape: Shape) -> onnx.GraphProto:
    settings = {"scale": shape.depth**-0.5, "causal": int(shape.causal), "window": 0}
    node = helper.make_node("MultiHeadAttention", list("qkv"), ["y", ""], domain=DOMAIN, **settings)
    return _graph([node], [shape.heads, shape.length, shape.depth], [])


def _plain(shape: Shape) -> onnx.GraphProto:
    open_keys = np.tril(np.ones((shape.length, shape.length), bool)) | (not shape.causal)
    bias = np.where(open_keys, 0, -1e9).astype(np.float32)[None, None]
    constants = [onnx.numpy_helper.from_array(np.float32(shape.depth**-0.5).reshape(()), "scale")]
    nodes = [
        helper.make_node("Transpose", ["k"], ["columns"], perm=[0, 1, 3, 2]),
        helper.make_node("Mul", ["q", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "columns"], ["scores"]),
    ]
    if shape.causal:
        constants.append(onnx.numpy_helper.from_array(bias, "bias"))
        nodes.append(helper.make_node("Add", ["scores", "bias"], ["biased"]))
    nodes += [
        helper.make_node("Softmax", ["biased" if shape.causal else "scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["y"]),
    ]
    return _graph(nodes, [shape.heads, shape.length, shape.depth], constants)


def _standard(shape: Shape) -> onnx.GraphProto:
    node = helper.make_node("Attention", list("qkv"), ["y"], is_causal=int(shape.causal))
    return _graph([node], [shape.heads, shape.length, shape.depth], [])


def _microsoft(shape: Shape) -> onnx.GraphProto:
    settings = {"num_heads": shape.heads, "unidirectional": int(shape.causal)}
    node = helper.make_node("MultiHeadAttention", list("qkv"), ["y"], domain=MICROSOFT, **settings)
    return _graph([node], [shape.length, shape.heads * shape.depth], [])


MERGED = f"{MICROSOFT} MultiHeadAttention"
FORMS: dict[str, Callable[[Shape], onnx.GraphProto]] = {
    "plain nodes": _plain,
    f"Attention {OPSET}": _standard,
    MERGED: _microsoft,
}
"""ONNX Runtime's own -> its graph."""
