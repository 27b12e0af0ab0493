"""A transformer encoder as a plain ONNX file: random weights, any number of tokens, a mask that it needs twice.

tokens (B, T) int64, mask (B, T) bool -> pooled (B, d), hidden (B, T, d), probabilities of the first layer (B, h, T, T).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

VOCABULARY = 1000
HIDDEN_TENSORS = ("hidden", "probabilities")


def write_encoder(path: Path, *, width: int = 16, layers: int = 1, heads: int = 2, every_output: bool = True) -> Path:
    """Write the file. The mask closes padding to attention, and keeps it out of the mean that is `pooled`."""
    graph = _Encoder(width, heads).graph(layers, every_output)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


class _Encoder:
    """Collects nodes and weights; every method returns the name of what it computes."""

    def __init__(self, width: int, heads: int) -> None:
        self._width, self._heads = width, heads
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def graph(self, layers: int, every_output: bool) -> onnx.GraphProto:
        hidden = self._step("Gather", self._weight(VOCABULARY, self._width, scale=1.0), "tokens")
        closed = self._step("Unsqueeze", "mask", self._constant([1, 2]))  # (B, 1, 1, T)
        for layer in range(layers):
            hidden = self._norm(self._step("Add", hidden, self._attention(hidden, closed, first=layer == 0)))
            hidden = self._norm(self._step("Add", hidden, self._feed_forward(hidden)))
        self._step("Identity", hidden, output="hidden")
        self._pool(hidden)
        outputs = [_value("pooled", "B", self._width)]
        if every_output:
            outputs += [_value("hidden", "B", "T", self._width), _value("probabilities", "B", self._heads, "T", "T")]
        inputs = [_value("tokens", "B", "T", kind=TensorProto.INT64), _value("mask", "B", "T", kind=TensorProto.BOOL)]
        return helper.make_graph(self._nodes, "encoder", inputs, outputs, self._weights)

    def _attention(self, hidden: str, opened: str, *, first: bool) -> str:
        query, key, value = (self._by_head(self._linear(hidden, self._width)) for _ in range(3))
        transposed = self._step("Transpose", key, perm=[0, 1, 3, 2])
        scale = self._constant(np.float32((self._width // self._heads) ** -0.5))
        scores = self._step("Mul", self._step("MatMul", query, transposed), scale)  # (B, h, T, T)
        seen = self._step("Where", opened, scores, self._constant(np.float32(-1e9)))
        shares = self._step("Softmax", seen, output="probabilities" if first else None, axis=-1)
        together = self._step("Transpose", self._step("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self._linear(self._step("Reshape", together, self._constant([0, 0, self._width])), self._width)

    def _by_head(self, array: str) -> str:
        split = self._step("Reshape", array, self._constant([0, 0, self._heads, self._width // self._heads]))
        return self._step("Transpose", split, perm=[0, 2, 1, 3])  # (B, h, T, d / h)

    def _feed_forward(self, hidden: str) -> str:
        return self._linear(self._step("Relu", self._linear(hidden, 4 * self._width)), self._width, 4 * self._width)

    def _linear(self, array: str, outputs: int, inputs: int | None = None) -> str:
        weight = self._weight(inputs or self._width, outputs, scale=(inputs or self._width) ** -0.5)
        return self._step("Add", self._step("MatMul", array, weight), self._weight(outputs, scale=0.1))

    def _norm(self, array: str) -> str:
        ones = self._constant(np.ones(self._width, np.float32))
        return self._step("LayerNormalization", array, ones, axis=-1)

    def _pool(self, hidden: str) -> None:
        weights = self._step("Unsqueeze", self._step("Cast", "mask", to=TensorProto.FLOAT), self._constant([2]))
        total = self._step("ReduceSum", self._step("Mul", hidden, weights), self._constant([1]), keepdims=0)
        self._step("Div", total, self._step("ReduceSum", weights, self._constant([1]), keepdims=0), output="pooled")

    def _step(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def _weight(self, *shape: int, scale: float) -> str:
        return self._constant((scale * self._random.standard_normal(shape)).astype(np.float32))

    def _constant(self, value: Any) -> str:
        name = f"w{len(self._weights)}"
        array = np.asarray(value, np.int64) if isinstance(value, list) else np.asarray(value)
        self._weights.append(onnx.numpy_helper.from_array(array, name))
        return name


def _value(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))
