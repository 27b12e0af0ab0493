"""Squeeze-and-Excitation as Paddle's exporter writes it: biases added after the convolutions, Identity in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, HIDDEN = 8, 2


@dataclass(frozen=True)
class Block:
    """`slope` of its gate; `reshaped`: a node lays out its biases, which are vectors; else they have `bias_axes`."""

    slope: float
    reshaped: bool = False
    bias_axes: tuple[int, ...] = (1, -1, 1, 1)


def network(*blocks: Block) -> onnx.ModelProto:
    """One block after another, for feature maps x (N, 8, H, W)."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    value = "x"
    for index, block in enumerate(blocks):
        for one in _nodes(block, value, f"{index}", constants):
            nodes.append(one)
        value = f"{index}.y"
    shape = ["N", CHANNELS, "H", "W"]
    graph = helper.make_graph(
        nodes,
        "paddle",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _nodes(block: Block, x: str, name: str, constants: list[onnx.TensorProto]) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("GlobalAveragePool", [x], [f"{name}.pooled"])
    yield helper.make_node("Identity", [f"{name}.pooled"], [f"{name}.mean"])
    yield from _layer(block, f"{name}.mean", f"{name}.squeezed", (HIDDEN, CHANNELS), constants)
    yield helper.make_node("Relu", [f"{name}.squeezed"], [f"{name}.hidden"])
    yield from _layer(block, f"{name}.hidden", f"{name}.excited", (CHANNELS, HIDDEN), constants)
    yield helper.make_node("HardSigmoid", [f"{name}.excited"], [f"{name}.gate"], alpha=block.slope, beta=0.5)
    yield helper.make_node("Mul", [x, f"{name}.gate"], [f"{name}.y"])


def _layer(
    block: Block, x: str, y: str, sizes: tuple[int, int], constants: list[onnx.TensorProto]
) -> Iterator[onnx.NodeProto]:
    random = np.random.default_rng(len(constants))
    weights = random.standard_normal((*sizes, 1, 1), dtype=np.float32)
    bias = random.standard_normal(sizes[0], dtype=np.float32)
    constants.append(numpy_helper.from_array(weights, f"{y}.w"))
    constants.append(numpy_helper.from_array(bias if block.reshaped else bias.reshape(block.bias_axes), f"{y}.b"))
    if block.reshaped:
        axes = numpy_helper.from_array(np.array([1, -1, 1, 1]))
        yield helper.make_node("Constant", [], [f"{y}.axes"], value=axes)
        yield helper.make_node("Reshape", [f"{y}.b", f"{y}.axes"], [f"{y}.bias"])
    yield helper.make_node("Conv", [x, f"{y}.w"], [f"{y}.conv"])
    yield helper.make_node("Add", [f"{y}.conv", f"{y}.bias" if block.reshaped else f"{y}.b"], [f"{y}.sum"])
    yield helper.make_node("Identity", [f"{y}.sum"], [y])
