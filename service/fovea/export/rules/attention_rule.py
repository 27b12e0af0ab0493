"""What a rule is made of: a pattern of plain operators, a check of what the pattern cannot say, and its operator.

A pattern names its values as the operator names its inputs (`X`, `W1`) and maps (`Gate`). A match becomes a node of
that operator, whose function body is the matched nodes themselves. Names in the graph never count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import Any

import onnx
from onnxscript import ir
from onnxscript.rewriter import MatchContext, MatchResult
from onnxscript.rewriter.pattern import ANY_VALUE, OrValue, RewriteRuleClassBase

from fovea.contract.operators import DOMAIN, OPERATORS, VERSION, Operator

MAP_KEY = "fovea.map."
"""In a new node's metadata, before a map's name: the value of the graph that it is."""
LAYOUTS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators that move no number."""

_choices = count()

Problems = Iterator[tuple[str, ir.Node | ir.Value]]
"""Why a match is none, and where."""


class AttentionRule(RewriteRuleClassBase):  # type: ignore[misc]
    """A rule of one operator. Its match is one where `problems` finds none."""

    layers: Mapping[str, str] = MappingProxyType({})
    """Of the inputs, the weights of linear layers -> their biases."""
    flat_maps: Sequence[str] = ()
    """Maps that the operator gives as (N, C), where the graph may have (N, C, 1, 1)."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(operator.name, as_function=True)
        self.operator = operator
        self.input_names = tuple(name.removesuffix("?") for name in operator.inputs)

    def problems(self, context: MatchContext, **bound: Any) -> Problems:
        """What the pattern cannot say: shapes, constants, attributes. `bound`: the pattern's values by name."""
        raise NotImplementedError

    def settings(self, bound: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The operator's attributes of such a match."""
        return {}

    def check(self, context: MatchContext, **bound: Any) -> MatchResult:
        """The rewriter's form of `problems`. Besides, all that a function body reads must be an input or a constant."""
        result, bound = MatchResult(), self._with_missing(bound)
        for reason, where in (*self._open_ends(context, bound), *self.problems(context, **bound)):
            return result.fail(reason, where)
        return result

    def _with_missing(self, bound: dict[str, Any]) -> dict[str, Any]:
        """With None for inputs that the matched form does not have: the rewriter leaves them out."""
        return {**dict.fromkeys(self.input_names), **bound}

    def _open_ends(self, context: MatchContext, bound: dict[str, Any]) -> Problems:
        inputs = [bound[name] for name in self.input_names]
        for node in context.nodes:
            for value in node.inputs:
                if value in inputs or value is None or value.const_value is not None:
                    continue
                if value.producer() not in context.nodes:
                    yield "reads a value that the operator does not take", node

    def rewrite(self, op: Any, **bound: Any) -> Any:
        """The operator's node; the rewriter makes its function."""
        inputs = [self._with_missing(bound)[name] for name in self.input_names]
        y = getattr(op, self.operator.name)(*inputs, **self.settings(bound), _domain=DOMAIN, _version=VERSION)
        y.producer().metadata_props.update({MAP_KEY + name: bound[name].name for name in self.operator.maps})
        return y


def map_sources(node: onnx.NodeProto) -> dict[str, str]:
    """Of a node that such a rule made: map -> the value that it was in the graph."""
    known = {entry.key: entry.value for entry in node.metadata_props}
    return {name: known[MAP_KEY + name] for name in OPERATORS[node.op_type].maps if MAP_KEY + name in known}


def laid_out(op: Any, value: Any) -> Any:
    """Pattern: the value, or the same numbers in another shape."""
    shaped = [op.Reshape(value, ANY_VALUE), op.Squeeze(value, ANY_VALUE), op.Unsqueeze(value, ANY_VALUE)]
    return one_of([*shaped, op.Flatten(value), value])


def one_of(values: Sequence[Any], name: str | None = None) -> Any:
    """Pattern: one of these. The rewriter wants a name for each such choice."""
    return OrValue(values, name=name, tag_var=f"choice_{next(_choices)}")


def either_way(operator: Callable[[Any, Any], Any], left: Any, right: Any, name: str | None = None) -> Any:
    """Pattern: a sum or a product, whichever operand comes first.

    The rewriter's own way is a pattern for each combination of all such nodes: hundreds, where there are ten.
    """
    return one_of([operator(left, right), operator(right, left)], name)


def sizes(value: ir.Value | None) -> list[int | str | None]:
    """The size of each axis: a number, a name, or None where nothing is known. Empty: not even how many axes."""
    if value is None or value.shape is None:
        return []
    return [size if isinstance(size, int) else size.value for size in value.shape]


def same_sizes(left: ir.Value, right: ir.Value) -> bool:
    """Whether both have the same known sizes; an axis of unknown size counts where it has a name."""
    return sizes(left) == sizes(right) != [] and not {0, None} & set(sizes(left))
