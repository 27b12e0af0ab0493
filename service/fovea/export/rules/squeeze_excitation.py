"""Squeeze-and-Excitation in plain operators: x · sigmoid(W2 relu(W1 mean(x) + b1) + b2), alone or as a branch's end.

Another activation, or another gate, is another function, and is left as it is.
"""

from __future__ import annotations

from typing import Any

from onnxscript import ir
from onnxscript.rewriter import MatchContext

from fovea.contract.operators import OPERATORS, RESIDUAL_FORMS
from fovea.export.rules.attention_rule import LAYOUTS, AttentionRule, Problems, laid_out, one_of, same_sizes, sizes
from fovea.export.rules.linear import layer_of, linear, matrix

_NAME = "SqueezeExcitation"


class SqueezeExcitation(AttentionRule):
    """One block. `residual`: the sum with a shortcut and its ReLU belong to it."""

    layers = (("W1", "B1"), ("W2", "B2"))
    flat_maps = ("Gate",)

    def __init__(self, *, residual: bool) -> None:
        super().__init__(RESIDUAL_FORMS[_NAME] if residual else OPERATORS[_NAME])
        self._residual = residual

    def pattern(self, op: Any, X: Any, axes: Any, R: Any) -> Any:
        """Ends with the product, or with the ReLU."""
        pooled = one_of([op.ReduceMean(X, axes), op.GlobalAveragePool(X)])
        hidden = op.Relu(linear(op, laid_out(op, laid_out(op, pooled)), "W1", "B1"))
        gate = op.Sigmoid(linear(op, hidden, "W2", "B2"), _outputs=["Gate"])
        block = op.Mul(X, laid_out(op, laid_out(op, gate)), _outputs=["block"])
        return op.Relu(op.Add(block, R)) if self._residual else block

    def problems(self, context: MatchContext, **bound: ir.Value) -> Problems:
        """Sizes tell that every step is over channels, and that the gate weighs planes."""
        x, block, axes = bound["X"], bound["block"], bound["axes"]
        if len(sizes(x)) != 4 or not isinstance(sizes(x)[1], int):
            yield "is no feature map with a known number of channels", x
            return
        if axes is not None and not _is_plane(axes):
            yield "is not the mean over a plane", axes
        yield from _layer_problems(context, bound, sizes(x)[1])
        yield from _layout_problems(context, sizes(x)[1])
        if not same_sizes(x, block) or (self._residual and not same_sizes(block, bound["R"])):
            yield "is broadcast", block
        if self._residual and bound["R"].producer() in context.nodes:
            yield "is added to itself", block


def _is_plane(axes: ir.Value) -> bool:
    numbers = None if axes.const_value is None else axes.const_value.numpy()
    return numbers is not None and sorted(axis % 4 for axis in numbers) == [2, 3]


def _layer_problems(context: MatchContext, bound: dict[str, ir.Value], channels: Any) -> Problems:
    """Weights (C/r, C) and (C, C/r), and a bias for each row of them, where there is one."""
    first, second = (matrix(bound[name], layer_of(bound[name], context.nodes)) for name in ("W1", "W2"))
    if first is None or second is None or bound["W1"] is bound["W2"]:
        yield "is no plain layer of its own", bound["W1"]
        return
    if first.shape[1] != channels or second.shape != first.shape[::-1]:
        yield "does not lead from channels to channels", bound["W2"]
    for name, array in (("B1", first), ("B2", second)):
        if bound[name] is not None and sizes(bound[name]) != [len(array)]:
            yield "is no bias", bound[name]


def _layout_problems(context: MatchContext, channels: Any) -> Problems:
    """Between the steps there is one number a channel; the gate has the axes of a plane."""
    vectors = [[channels, *[1] * ones] for ones in range(3)]
    product = next(node for node in context.nodes if node.op_type == "Mul")
    for node in context.nodes:
        if node.op_type in LAYOUTS and sizes(node.outputs[0])[1:] not in vectors:
            yield "is no number a channel", node
    if not any(sizes(value)[1:] == vectors[-1] for value in product.inputs):
        yield "is no gate of a channel", product
