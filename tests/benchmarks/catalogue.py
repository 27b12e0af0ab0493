"""`make catalogue`: what each mechanism costs, in time and memory, beside a copy of what it reads; docs/CATALOGUE.md.

One node on one core, float32, by its kernel and by its body; processor time, and resident memory at the peak of a run.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.console import Console
from tests.benchmarks.catalogue_page import FIGURES, PAGE, page
from tests.benchmarks.kernels_timing import Effort, interleaved, on_core
from tests.benchmarks.machine import describe, in_one_line
from tests.benchmarks.peak_memory import grown_bytes
from tests.kernel_cases import Case, external_case, hard_case, head_case, map_case, score_case
from tests.one_node import model_of

from fovea.contract.attention import AttentionType
from fovea.export.function_bodies import OPSET
from fovea.runtime.kernel_library import find_kernel_library
from fovea.runtime.ort_session import SessionSettings, fused_operators, open_session

EFFORT = Effort(rounds=15, slice_s=0.02, least_runs=5)
FEATURES = (8, 64, 56, 56)
SEQUENCES = (8, 32, 64, 128, 128)
"""Rows, queries, keys, width of a key, width of a value."""
TOKENS = (8, 196, 256, 64)
"""Rows, tokens, width, slots."""
ONE_HEAD, FOUR_HEADS = (8, 1, 128, 128, 128, 128), (8, 4, 128, 128, 32, 32)
"""Rows, heads, queries, keys, width of a key, width of a value."""

FED = ("X", "S", "Q", "K", "V", "Scores", "seed")
"""Inputs of a node that change from run to run; the others are weights."""

CASES: dict[AttentionType, Callable[[], Case]] = {
    AttentionType.SQUEEZE_EXCITATION: partial(map_case, "SqueezeExcitation", FEATURES),
    AttentionType.SQUEEZE_ONLY: partial(map_case, "SqueezeGate", FEATURES),
    AttentionType.SPATIAL: partial(map_case, "SpatialAttention", FEATURES),
    AttentionType.CBAM: partial(map_case, "CBAM", FEATURES),
    AttentionType.SIMAM: partial(map_case, "SimAM", FEATURES),
    AttentionType.ADDITIVE: partial(score_case, "AdditiveAttention", SEQUENCES),
    AttentionType.DISTANCE: partial(score_case, "DistanceAttention", SEQUENCES),
    AttentionType.DOT: partial(score_case, "DotAttention", SEQUENCES),
    AttentionType.SCALED_DOT: partial(score_case, "DotAttention", SEQUENCES),
    AttentionType.BILINEAR: partial(score_case, "BilinearAttention", SEQUENCES),
    AttentionType.KEY_VALUE: partial(score_case, "DotAttention", SEQUENCES),
    AttentionType.HARD_ARGMAX: partial(hard_case, "HardArgmaxAttention", SEQUENCES),
    AttentionType.HARD_SAMPLE: partial(hard_case, "HardSampleAttention", SEQUENCES),
    AttentionType.SELF: partial(head_case, ONE_HEAD),
    AttentionType.MULTI_HEAD: partial(head_case, FOUR_HEADS),
    AttentionType.EXTERNAL: partial(external_case, TOKENS),
    AttentionType.GATED: partial(map_case, "Gate", FEATURES),
    AttentionType.MAX_POOL: partial(map_case, "MaxPoolAttention", FEATURES),
    AttentionType.ECA: partial(map_case, "EfficientChannelAttention", FEATURES),
    AttentionType.COORDINATE: partial(map_case, "CoordinateAttention", FEATURES),
}
"""A node of every mechanism."""


@dataclass(frozen=True)
class Cost:
    """Of one run: median microseconds and megabytes at its peak, beside copying its inputs. No kernel: None."""

    operator: str
    inputs: str
    copy_us: float
    copy_mb: float
    body_us: float
    body_mb: float
    kernel_us: float | None = None
    kernel_mb: float | None = None


def main() -> int:
    """Measure every mechanism, write the figures and the page; status 2 where nothing can be measured."""
    library = find_kernel_library()
    if library is None:
        print("catalogue: there is no kernel library; `make kernels` builds it", file=sys.stderr)
        return 2
    progress = Console(stderr=True, highlight=False)
    costs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="fovea-catalogue-") as folder, on_core(0):
        for attention, case in CASES.items():
            progress.print(attention.value)
            costs[attention.value] = asdict(_cost(case(), Path(folder) / "one.onnx", library))
        soft = _soft_reading_us(hard_case("HardArgmaxAttention", SEQUENCES), Path(folder) / "soft.onnx")
    figures = {"machine": in_one_line(describe()), "soft_reading_us": soft, "costs": costs}
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    PAGE.write_text(page(figures))
    return 0


def _cost(case: Case, path: Path, library: Path) -> Cost:
    weights = {name: array for name, array in case.inputs.items() if name not in FED}
    fed = {name: array for name, array in case.inputs.items() if name in FED}
    onnx.save(_as_served(model_of(case.operator, "", case.inputs, case.settings), weights), path)
    runs: dict[str, Callable[[], object]] = {"copy": _copier(fed), "body": _runner(path, fed, None)}
    if case.operator in fused_operators(open_session(path, SessionSettings(kernel_library=library))):
        runs["kernel"] = _runner(path, fed, library)
    microseconds = {f"{side}_us": statistics.median(times) * 1e6 for side, times in interleaved(runs, EFFORT).items()}
    with ProcessPoolExecutor(1, get_context("spawn")) as child:  # what it does to memory would slow what follows here
        libraries = {"body": None} | ({"kernel": library} if "kernel" in runs else {})
        megabytes = child.submit(_megabytes, path, fed, libraries).result()
    sizes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in fed.items())
    return Cost(case.operator, sizes, **microseconds, **megabytes)


def _soft_reading_us(case: Case, path: Path) -> float:
    """The weighted mean by ONNX Runtime's own operators."""
    nodes = [helper.make_node("Softmax", ["Scores"], ["P"]), helper.make_node("MatMul", ["P", "V"], ["Y"])]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in case.inputs.items()
    ]
    graph = helper.make_graph(nodes, "soft", inputs, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10), path)
    return statistics.median(interleaved({"soft": _runner(path, case.inputs, None)}, EFFORT)["soft"]) * 1e6


def _megabytes(path: Path, fed: Mapping[str, np.ndarray], libraries: Mapping[str, Path | None]) -> dict[str, float]:
    runs = {"copy": partial(_copy, fed)} | {
        side: _runner(path, fed, library, arena=False) for side, library in libraries.items()
    }
    return {f"{side}_mb": grown_bytes(run) / 1e6 for side, run in runs.items()}


def _as_served(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """With weights that are constant, and without the maps, for which most requests do not ask."""
    graph = model.graph
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    fed = [value for value in graph.input if value.name not in weights]
    del graph.input[:], graph.output[1:]
    graph.input.extend(fed)
    (node,) = graph.node
    node.output[1:] = [""] * (len(node.output) - 1)
    return model


def _runner(
    path: Path, fed: Mapping[str, np.ndarray], library: Path | None, arena: bool = True
) -> Callable[[], object]:
    session = open_session(path, SessionSettings(kernel_library=library, arena=arena))
    return partial(session.run, None, dict(fed))


def _copier(inputs: Mapping[str, np.ndarray]) -> Callable[[], object]:
    """To where memory has been taken already."""
    pairs = [(np.empty_like(array), array) for array in inputs.values()]
    return lambda: [np.copyto(*pair) for pair in pairs]


def _copy(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [array.copy() for array in inputs.values()]


if __name__ == "__main__":
    sys.exit(main())
