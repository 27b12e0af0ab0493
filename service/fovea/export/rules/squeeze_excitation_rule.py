"""Squeeze-and-Excitation in plain operators: x · sigmoid(W2 relu(W1 mean(x) + b1) + b2), alone or as a branch's end.

The activations and gates are those that the operator knows: ReLU, SiLU or hard-swish, sigmoid or hard sigmoid. Any
other makes another function, which is left as it is.
"""

from __future__ import annotations

from math import isclose
from types import MappingProxyType
from typing import Any

from onnxscript import ir
from onnxscript.rewriter import MatchContext
from onnxscript.rewriter.pattern import OrValue

from fovea.contract.operators import OPERATORS, RESIDUAL_FORMS
from fovea.export.rules.attention_rule import (
    LAYOUTS,
    AttentionRule,
    Problems,
    either_way,
    laid_out,
    one_of,
    same_sizes,
    sizes,
)
from fovea.export.rules.linear import is_bias, layer_of, linear, matrix

_NAME = "SqueezeExcitation"


_SIXTH = 1 / 6
"""The slope of a hard sigmoid that is written as relu6(x + 3) / 6."""


class SqueezeExcitationRule(AttentionRule):
    """One block. `residual`: the sum with a shortcut and its ReLU belong to it; else `gate_first` has gate · x."""

    layers = MappingProxyType({"W1": "B1", "W2": "B2"})
    flat_maps = ("Gate",)

    def __init__(self, *, residual: bool, gate_first: bool = False) -> None:
        super().__init__(RESIDUAL_FORMS[_NAME] if residual else OPERATORS[_NAME])
        self._residual, self._gate_first = residual, gate_first

    def pattern(self, op: Any, X: Any, axes: Any, R: Any) -> Any:
        """Ends with the product, or with the ReLU."""
        pooled = one_of([op.ReduceMean(X, axes), op.GlobalAveragePool(X)])
        hidden = _activated(op, linear(op, laid_out(op, laid_out(op, pooled)), "W1", "B1"))
        gate = laid_out(op, laid_out(op, _gate(op, linear(op, hidden, "W2", "B2"))))
        if self._residual:
            return op.Relu(either_way(op.Add, either_way(op.Mul, X, gate, "block"), R))
        return op.Mul(*((gate, X) if self._gate_first else (X, gate)), _outputs=["block"])

    def settings(self, bound: dict[str, Any]) -> dict[str, Any]:
        """Which activation it has, and the slope of its gate."""
        gate = bound["Gate"].producer()
        slopes = {"Sigmoid": 0.0, "HardSigmoid": gate.attributes.get_float("alpha", 0.2)}
        return {"activation": bound["activation"], "slope": slopes.get(gate.op_type, _SIXTH)}

    def problems(self, context: MatchContext, **bound: Any) -> Problems:
        """Sizes tell that every step is over channels, and that the gate weighs planes."""
        x, block, axes = bound["X"], bound["block"], bound["axes"]
        if len(sizes(x)) != 4 or not isinstance(sizes(x)[1], int):
            yield "is no feature map with a known number of channels", x
            return
        if axes is not None and not _is_plane(axes):
            yield "is not the mean over a plane", axes
        yield from _layer_problems(context, bound, sizes(x)[1])
        yield from _layout_problems(context, sizes(x)[1], [bound["B1"], bound["B2"]])
        yield from _hard_problems(context, bound["Gate"].producer())
        if not same_sizes(x, block) or (self._residual and not same_sizes(block, bound["R"])):
            yield "is broadcast", block
        if self._residual and bound["R"].producer() in context.nodes:
            yield "is added to itself", block


def _activated(op: Any, scores: Any) -> Any:
    """Pattern: one of the operator's activations; which, is bound to `activation`."""
    hard_share = _hard_sigmoid(op, scores)
    forms = {
        "relu": [op.Relu(scores)],
        "silu": [either_way(op.Mul, scores, op.Sigmoid(scores))],
        "hard_swish": [op.HardSwish(scores), either_way(op.Mul, scores, hard_share)],
    }
    names = [name for name, values in forms.items() for _ in values]
    return OrValue([value for values in forms.values() for value in values], tag_var="activation", tag_values=names)


def _gate(op: Any, scores: Any) -> Any:
    """Pattern: a sigmoid, or a hard one."""
    return OrValue([op.Sigmoid(scores), _hard_sigmoid(op, scores)], name="Gate", tag_var="gate_form")


def _hard_sigmoid(op: Any, scores: Any) -> Any:
    """Pattern: ONNX's operator, or relu6(x + 3) / 6 as people write it."""
    return one_of([op.HardSigmoid(scores), op.Div(op.Clip(either_way(op.Add, scores, 3.0), 0.0, 6.0), 6.0)])


def _is_plane(axes: ir.Value) -> bool:
    numbers = None if axes.const_value is None else axes.const_value.numpy()
    return numbers is not None and sorted(axis % 4 for axis in numbers) == [2, 3]


def _layer_problems(context: MatchContext, bound: dict[str, ir.Value], channels: Any) -> Problems:
    """Weights (C/r, C) and (C, C/r), and a bias for each row of them, where there is one."""
    layers = [layer_of(bound[name], context.nodes) for name in ("W1", "W2")]
    first, second = (matrix(bound[name], layer) for name, layer in zip(("W1", "W2"), layers, strict=True))
    if first is None or second is None or bound["W1"] is bound["W2"]:
        yield "is no plain layer of its own", bound["W1"]
        return
    if first.shape[1] != channels or second.shape != first.shape[::-1]:
        yield "does not lead from channels to channels", bound["W2"]
    for name, layer, array in zip(("B1", "B2"), layers, (first, second), strict=True):
        if bound[name] is not None and not is_bias(bound[name], layer, context.nodes, len(array)):
            yield "is no bias", bound[name]


def _layout_problems(context: MatchContext, channels: Any, biases: list[ir.Value | None]) -> Problems:
    """Between the steps there is one number a channel; the gate has the axes of a plane."""
    vectors = [[channels, *[1] * ones] for ones in range(3)]
    product = next(node for node in context.nodes if node.op_type == "Mul")
    for node in context.nodes:
        is_step = node.op_type in LAYOUTS and node.inputs[0] not in biases
        if is_step and sizes(node.outputs[0])[1:] not in vectors:
            yield "is no number a channel", node
    if not any(sizes(value)[1:] == vectors[-1] for value in product.inputs):
        yield "is no gate of a channel", product


def _hard_problems(context: MatchContext, gate: ir.Node | None) -> Problems:
    """Of hard sigmoids, 1/2 is in the middle; the one in a hard-swish has a slope of 1/6."""
    for node in context.nodes:
        if node.op_type == "HardSigmoid":
            slope, middle = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
            if middle != 0.5 or (node is not gate and not isclose(slope, _SIXTH, rel_tol=1e-6)):
                yield "is a hard sigmoid of another kind", node
