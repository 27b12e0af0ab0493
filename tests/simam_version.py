"""A small exported version that attends: one SimAM block with its function body, a golden batch and a card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.model_card import ModelCard
from fovea.contract.operators import DOMAIN
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.files import file_sha256
from fovea.runtime.golden import write_golden
from kernel_formulas import formula
from servers import tensor

CHANNELS, SIDE, ROWS = 4, 8, 4
SHAPE = (CHANNELS, SIDE, SIDE)
IMAGE = TensorSpec(name="image", datatype="FP32", shape=(-1, *SHAPE))
OUTPUT = TensorSpec(name="features", datatype="FP32", shape=(-1, *SHAPE))
WEIGHTS = TensorSpec(name="attention.block", datatype="FP32", shape=(-1, *SHAPE))
LAMBDA = 1e-4


def simam(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """The oracle, in float64."""
    return formula("SimAM", {"X": image}, {"lambda": LAMBDA}, np.float64)


def simam_function() -> onnx.FunctionProto:
    def step(op: str, inputs: list[str], output: str, name: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(op, inputs, [output], name=f"SimAM/{name}", **attributes)

    def scalar(name: str, value: float) -> onnx.NodeProto:
        tensor = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        return helper.make_node("Constant", [], [name], name=f"SimAM/{name}", value=tensor)

    nodes = [
        scalar("pixels", SIDE * SIDE - 1),
        scalar("four", 4.0),
        scalar("half", 0.5),
        scalar("small", LAMBDA),
        helper.make_node("Constant", [], ["axes"], name="SimAM/axes", value_ints=[2, 3]),
        step("ReduceMean", ["X", "axes"], "mean", "mean"),
        step("Sub", ["X", "mean"], "centred", "centre"),
        step("Mul", ["centred", "centred"], "distance", "square"),
        step("ReduceSum", ["distance", "axes"], "total", "sum"),
        step("Div", ["total", "pixels"], "variance", "variance"),
        step("Add", ["variance", "small"], "steady", "steady"),
        step("Mul", ["steady", "four"], "scale", "scale"),
        step("Div", ["distance", "scale"], "ratio", "ratio"),
        step("Add", ["ratio", "half"], "energy", "energy"),
        step("Sigmoid", ["energy"], "Weights", "gate"),
        step("Mul", ["X", "Weights"], "Y", "weigh"),
    ]
    return helper.make_function(
        DOMAIN, "SimAM", ["X"], ["Y", "Weights"], nodes, [helper.make_opsetid("", 21)], attributes=["lambda"]
    )


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    *,
    weights: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", 21), *([helper.make_opsetid(DOMAIN, 1)] if functions else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def attention_model(path: Path, *, maps: bool) -> Path:
    """image -> 1x1 convolution that changes nothing -> SimAM -> features, and the weights where `maps`."""
    same = np.eye(CHANNELS, dtype=np.float32).reshape(CHANNELS, CHANNELS, 1, 1)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["convolved"], name="convolution"),
        helper.make_node("SimAM", ["convolved"], ["features", WEIGHTS.name if maps else ""], "block", domain=DOMAIN),
    ]
    nodes[1].attribute.append(helper.make_attribute("lambda", LAMBDA))
    outputs = [tensor("features", ["N", *SHAPE])] + ([tensor(WEIGHTS.name, ["N", *SHAPE])] if maps else [])
    weights = [onnx.numpy_helper.from_array(same, "w")]
    return save(path, nodes, [tensor("image", ["N", *SHAPE])], outputs, weights=weights, functions=[simam_function()])


def images(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, *SHAPE)).astype(np.float32)


def write_card(
    folder: Path, *, tolerance: float = 1e-5, files: tuple[str, ...] | None = None, **changes: Any
) -> ModelCard:
    """A card for what is in the folder; `changes` replace its fields."""
    names = files if files is not None else tuple(path.name for path in folder.iterdir() if path.name != "card.json")
    facts = {
        "name": "simam",
        "attention": AttentionType.SIMAM,
        "layers": (AttentionLayer(name="block", attention=AttentionType.SIMAM, operator="SimAM", maps=(WEIGHTS,)),),
        "inputs": (IMAGE,),
        "outputs": (OUTPUT,),
        "batched": True,
        "max_batch_rows": 8,
        "parameters": 16,
        "opset": 21,
        "operator_version": 1,
        "tolerances": {"features": tolerance, WEIGHTS.name: tolerance},
        "sha256": {name: file_sha256(folder / name) for name in names},
    }
    card = ModelCard.model_validate(facts | changes)
    (folder / "card.json").write_text(card.to_json())
    return card


def write_version(folder: Path) -> Path:
    """A whole version, as `fovea export` would leave it."""
    attention_model(folder / "model.onnx", maps=False)
    attention_model(folder / "maps.onnx", maps=True)
    batch = images(ROWS)
    features, weights = simam(batch)
    write_golden(folder / "golden.npz", {"image": batch}, {"features": features}, {WEIGHTS.name: weights})
    write_card(folder)
    return folder
