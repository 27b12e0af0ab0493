"""The library's own tally of time, against what ONNX Runtime's profiler says of the same nodes in the same runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fovea.contract.operators import DOMAIN, VERSION
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.tally import Tally, open_tally

SHAPE = (16, 64, 56, 56)
"""So large that the tens of microseconds in which the profiler writes each node's event are no share of its time."""
CHANNELS, HIDDEN = 64, 4
RUNS = 10
OPERATORS = {"SqueezeExcitation": 2, "SpatialAttention": 1, "SimAM": 1}
"""Operator -> how many of its nodes the model has."""


def write_model(path: Path) -> Path:
    """A chain of blocks on a large feature map, without bodies."""
    rng = np.random.default_rng(0)
    shapes = {"W1": (HIDDEN, CHANNELS), "B1": (HIDDEN,), "W2": (CHANNELS, HIDDEN), "B2": (CHANNELS,), "W": (1, 2, 7, 7)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    dense = ["W1", "B1", "W2", "B2"]
    blocks: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
        ("SqueezeExcitation", dense, {}),
        ("SpatialAttention", ["W"], {}),
        ("SqueezeExcitation", dense, {}),
        ("SimAM", [], {"lambda": 1e-4}),
    )
    nodes = [
        helper.make_node(operator, [f"x{at}", *inputs], [f"x{at + 1}", ""], f"block{at}", domain=DOMAIN, **settings)
        for at, (operator, inputs, settings) in enumerate(blocks)
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["N", *SHAPE[1:]])],
        [helper.make_tensor_value_info(f"x{len(blocks)}", TensorProto.FLOAT, ["N", *SHAPE[1:]])],
        [helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel()) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, VERSION)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


@pytest.fixture
def session(kernel_library: Path, tmp_path: Path) -> onnxruntime.InferenceSession:
    """Profiled, with the kernels."""
    settings = SessionSettings(kernel_library=kernel_library, profile_prefix=tmp_path / "run")
    return open_session(write_model(tmp_path / "chain.onnx"), settings)


@pytest.fixture
def tally(kernel_library: Path) -> Tally:
    found = open_tally(kernel_library)
    assert found is not None
    found.seconds()  # what earlier tests on this thread left
    return found


def image() -> dict[str, Any]:
    return {"x0": np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)}


def profiled_seconds(session: onnxruntime.InferenceSession) -> list[dict[str, float]]:
    """What the profiler says, run by run."""
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event for event in events if event["cat"] == "Node" and event["name"].endswith("_kernel_time")]
    durations_s = {
        name: np.array([event["dur"] * 1e-6 for event in nodes if event["args"]["op_name"] == name])
        for name in OPERATORS
    }
    return [
        {name: float(durations_s[name].reshape(RUNS, count)[run].sum()) for name, count in OPERATORS.items()}
        for run in range(RUNS)
    ]


def test_tally_agrees_with_the_profiler_within_10_per_cent(session: onnxruntime.InferenceSession, tally: Tally) -> None:
    told = []
    for _ in range(RUNS):
        session.run(None, image())
        told.append(tally.seconds())
    profiled = profiled_seconds(session)
    for (
        name
    ) in OPERATORS:  # the median of the runs' own shares: one that was interrupted between the clocks is not typical
        shares = [mine[name] / its[name] for mine, its in zip(told, profiled, strict=True)]
        assert median(shares) == pytest.approx(1, abs=0.1), name
    sums = [sum(mine.values()) / sum(its.values()) for mine, its in zip(told, profiled, strict=True)]
    assert median(sums) == pytest.approx(1, abs=0.1)


def test_reading_starts_the_tally_anew(session: onnxruntime.InferenceSession, tally: Tally) -> None:
    session.run(None, image())
    assert all(seconds > 0 for seconds in tally.seconds().values())
    assert tally.seconds() == {}


def test_each_thread_has_a_tally_of_its_own(
    session: onnxruntime.InferenceSession, tally: Tally, kernel_library: Path
) -> None:
    session.run(None, image())
    found: list[dict[str, float]] = []

    def read() -> None:
        other = open_tally(kernel_library)
        assert other is not None
        found.append(other.seconds())
        session.run(None, image())
        found.append(other.seconds())

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found[0] == {}
    assert found[1].keys() == OPERATORS.keys() == tally.seconds().keys()
