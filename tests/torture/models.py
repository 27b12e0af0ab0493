"""What is served while it is tortured."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper
from tests.servers import plain_models, save_model, tensor
from tests.value_models import classifier, optional_input

from fovea.runtime.ort_session import SessionSettings, open_session

EXPORTED = Path(__file__).parents[2] / "exported_models"
STEADY = "steady"
"""The neighbours' model; no message that is made up bears its name."""
STEADY_COLUMNS = 4
HEAVY = "heavy"
HEAVY_COLUMNS = 1024
WIDE = "wide"
_WIDE_COLUMNS = 125_000
SUM = "sum"
_DOUBLE = [helper.make_node("Add", ["x", "x"], ["y"])]
_RESHAPE = """
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }
output { name: "y" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }
"""
_CHANNELS, _SIDE = 64, 56
_SAMPLE_CONVOLUTIONS, _SAMPLE_ROWS, _SAMPLE_RUNS = 8, 8, 5


def steady_model(repository: Path) -> Path:
    """y = x + x."""
    shape: list[int | str] = ["n", STEADY_COLUMNS]
    save_model(repository, STEADY, _DOUBLE, [tensor("x", shape)], [tensor("y", shape)])
    return repository


def many_models(repository: Path) -> Path:
    """Every kind of input and output, one exported model with maps, labels and pictures, one that is damaged, and
    `steady`.
    """
    plain_models(steady_model(repository))
    shutil.copytree(EXPORTED / "fashion-cbam", repository / "fashion-cbam")
    classifier(repository, "classifier", ["dog", "ant", "cat"])
    optional_input(repository, "optional")
    save_model(repository, "reshaped", _DOUBLE, [tensor("x", ["n", 2, 2])], [tensor("y", ["n", 2, 2])])
    (repository / "reshaped" / "config.pbtxt").write_text(_RESHAPE)
    return repository


def convolutions_for(row_s: float) -> int:
    """How many convolutions make a row of `heavy_model` take so long here: on one core, in batches, processor time."""
    x = np.ones((_SAMPLE_ROWS, HEAVY_COLUMNS), np.float32)
    with tempfile.TemporaryDirectory(prefix="fovea-torture-") as folder:
        model = heavy_model(Path(folder), _SAMPLE_CONVOLUTIONS) / HEAVY / "1" / "model.onnx"
        session = open_session(model, SessionSettings())
        taken_s = []
        for _ in range(1 + _SAMPLE_RUNS):
            begun_s = time.thread_time()
            session.run(None, {"x": x})
            taken_s.append(time.thread_time() - begun_s)
    quickest_s = min(taken_s[1:]) / (_SAMPLE_ROWS * _SAMPLE_CONVOLUTIONS)
    return math.ceil(row_s / quickest_s)


def heavy_model(repository: Path, convolutions: int = 6) -> Path:
    """y = the mean of x, by way of convolutions that change nothing: about a millisecond a row each on one core."""
    same = np.zeros((_CHANNELS, _CHANNELS, 3, 3), np.float32)
    same[range(_CHANNELS), range(_CHANNELS), 1, 1] = 1
    node = helper.make_node
    nodes = [
        node("Constant", [], ["w"], value=numpy_helper.from_array(same, "w")),
        node("Constant", [], ["columns"], value_ints=[1]),
        node("Constant", [], ["pixels"], value_ints=[2, 3]),
        node("Constant", [], ["planes"], value_ints=[1, _CHANNELS, _SIDE, _SIDE]),
        node("Constant", [], ["all"], value_ints=[1, 2, 3]),
        node("ReduceMean", ["x", "columns"], ["mean"]),
        node("Unsqueeze", ["mean", "pixels"], ["pixel"]),
        node("Expand", ["pixel", "planes"], ["h0"]),
    ]
    for index in range(convolutions):
        nodes.append(node("Conv", [f"h{index}", "w"], [f"h{index + 1}"], pads=[1, 1, 1, 1]))
    nodes += [
        node("ReduceMean", [f"h{convolutions}", "all"], ["flat"], keepdims=0),
        node("Unsqueeze", ["flat", "columns"], ["y"]),
    ]
    save_model(repository, HEAVY, nodes, [tensor("x", ["n", HEAVY_COLUMNS])], [tensor("y", ["n", 1])])
    return repository


def wide_model(repository: Path) -> Path:
    """From one number to 125,000 of it: an answer of half a megabyte."""
    nodes = [
        helper.make_node("Constant", [], ["size"], value_ints=[1, _WIDE_COLUMNS]),
        helper.make_node("Expand", ["x", "size"], ["y"]),
    ]
    save_model(repository, WIDE, nodes, [tensor("x", ["n", 1])], [tensor("y", ["n", _WIDE_COLUMNS])])
    return repository


def sum_model(repository: Path) -> Path:
    """From any number of numbers to their sum."""
    nodes = [
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["x", "axis"], ["y"]),
    ]
    save_model(repository, SUM, nodes, [tensor("x", ["n", "length"])], [tensor("y", ["n", 1])])
    return repository
