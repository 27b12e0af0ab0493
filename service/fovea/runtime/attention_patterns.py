"""Finds what looks like attention in a graph, by its structure alone: no name of a layer or of a value counts.

It looks like attention where there is
- an attention operator, of whatever domain;
- a softmax that weighs what was computed, in a matrix product or in a sum; or one between two matrix products;
- a matrix product of two computed values whose result is an operand of another such product;
- a gate: a sigmoid or the like, times the very value that it was pooled, averaged or convolved from.

What an operator does to a value is told by flags, which go along with it: through operators that work element by
element or lay out anew, and no further. So one pass finds all but the gates; those are followed back, a few steps.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from enum import IntFlag
from functools import reduce
from operator import or_
from typing import NamedTuple

from fovea.contract.operators import DOMAIN
from fovea.runtime import operator_kinds as kinds
from fovea.runtime.onnx_graph import NODE_STEPS, FlatGraph, Node
from fovea.runtime.protobuf_fields import Steps

OPERATOR, SOFTMAX, PRODUCTS, GATE = (
    "attention operator",
    "softmax that weighs something",
    "chain of matrix products",
    "gate on what it comes from",
)

_MOST_PRODUCTS = 4
"""On the way from a gate back to what it gates; modules that gate have one to four layers."""


class _Flag(IntFlag):
    """What is known of a value. All but the first end where an operator mixes what is in it."""

    COMPUTED = 1
    """From an input of the graph."""
    PRODUCT = 2
    """From a matrix product."""
    PAIR = 4
    """From a product of two computed values."""
    SOFTMAX = 8
    SCORES = 16
    """From a softmax of a PRODUCT."""
    WEIGHED = 32
    """A softmax times something computed."""
    SQUASHED = 64


_NOTHING = _Flag(0)


def patterns(graph: FlatGraph, steps: Steps) -> Counter[str]:
    """How often each kind is there; operators of `ai.fovea` count for none."""
    return _Search(graph, steps).run()


class _Search:
    def __init__(self, graph: FlatGraph, steps: Steps) -> None:
        self._graph, self._steps = graph, steps
        self._flags = dict.fromkeys(graph.inputs, _Flag.COMPUTED)
        self._maker = {output: node for node in graph.nodes for output in node.outputs if output}
        self._found = Counter[str]()

    def run(self) -> Counter[str]:
        for node in self._graph.nodes:
            self._steps.take(NODE_STEPS)
            after = self._after(node)
            self._flags |= {output: self._flags.get(output, _NOTHING) | after for output in node.outputs if output}
        return self._found

    def _after(self, node: Node) -> _Flag:
        """The flags of its outputs."""
        op, flags = kinds.plain_name(node), [self._flags.get(name, _NOTHING) for name in node.inputs]
        joined = reduce(or_, flags, _NOTHING)
        if node.domain == DOMAIN:
            return joined & _Flag.COMPUTED
        passed = _NOTHING if op in kinds.SHAPES else joined if op in kinds.ELEMENTWISE else joined & _Flag.COMPUTED
        rule = _rule(op)
        return passed | rule(self, node, flags) if rule else passed

    def _attention(self, _node: Node, _flags: Sequence[_Flag]) -> _Flag:
        self._found[OPERATOR] += 1
        return _NOTHING

    def _product(self, node: Node, flags: Sequence[_Flag]) -> _Flag:
        operands = [flags[place] for place in kinds.PRODUCT_OPERANDS[kinds.plain_name(node)] if place < len(flags)]
        computed = [operand for operand in operands if operand & _Flag.COMPUTED]
        pair = len(computed) > 1
        if any(operand & (_Flag.SOFTMAX if pair else _Flag.SCORES) for operand in computed):
            self._found[SOFTMAX] += 1
        elif pair and any(operand & _Flag.PAIR for operand in computed):
            self._found[PRODUCTS] += 1
        return _Flag.PRODUCT | (_Flag.PAIR if pair else _NOTHING)

    def _softmax(self, _node: Node, flags: Sequence[_Flag]) -> _Flag:
        scores = _Flag.SCORES if flags and flags[0] & _Flag.PRODUCT else _NOTHING
        return _Flag.SOFTMAX | _Flag.SQUASHED | scores

    def _quotient(self, node: Node, flags: Sequence[_Flag]) -> _Flag:
        """A softmax that is written out: powers by their own sum."""
        if len(node.inputs) < 2 or not flags[0] & _Flag.SQUASHED:
            return _NOTHING
        total = self._maker.get(self._root(node.inputs[1], kinds.LAYOUT | kinds.STABILISING))
        is_sum = total is not None and kinds.plain_name(total) == "ReduceSum" and total.inputs
        if not total or not is_sum or self._root(total.inputs[0]) != self._root(node.inputs[0]):
            return _NOTHING
        return self._softmax(node, flags)

    def _squash(self, _node: Node, _flags: Sequence[_Flag]) -> _Flag:
        return _Flag.SQUASHED

    def _reduction(self, _node: Node, flags: Sequence[_Flag]) -> _Flag:
        if any(one & _Flag.WEIGHED for one in flags):
            self._found[SOFTMAX] += 1
        return _NOTHING

    def _times(self, node: Node, flags: Sequence[_Flag]) -> _Flag:
        computed = [(name, one) for name, one in zip(node.inputs, flags, strict=True) if one & _Flag.COMPUTED]
        pairs = [(source, gate) for source in computed for gate in computed if source is not gate]
        if any(gate & _Flag.SQUASHED and self._is_gate(source, name) for (source, _), (name, gate) in pairs):
            self._found[GATE] += 1
        weighs = any(gate & _Flag.SOFTMAX and not source & _Flag.SOFTMAX for (_, source), (_, gate) in pairs)
        return _Flag.WEIGHED if weighs else _NOTHING

    def _root(self, value: str, through: frozenset[str] = kinds.LAYOUT) -> str:
        """Where a value comes from, but for how it is laid out."""
        node = self._maker.get(value)
        while node is not None and kinds.plain_name(node) in through and node.inputs:
            self._steps.take(NODE_STEPS)
            value = node.inputs[0]
            node = self._maker.get(value)
        return value

    def _is_gate(self, source: str, gate: str) -> bool:
        """Whether `gate` was squashed from something that was pooled, averaged or convolved from `source`."""
        sources = {source, self._root(source)}
        reached, waiting = set[_Place](), deque([(0, _Place(gate, False, False))])
        while waiting:
            products, place = waiting.popleft()
            self._steps.take(NODE_STEPS)
            if place.mixed and place.value in sources:
                return True
            node = self._maker.get(place.value)
            if place in reached or node is None or not place.may_pass(kinds.plain_name(node)):
                continue
            reached.add(place)
            is_product = kinds.plain_name(node) in kinds.PRODUCT_OPERANDS
            if products + is_product <= _MOST_PRODUCTS:
                add = waiting.extend if is_product else waiting.extendleft  # the nearest go first
                add((products + is_product, place.before(node, name)) for name in node.inputs)
        return False


class _Place(NamedTuple):
    """A value on the way back from a gate, and what was met on the way: what squashed it, what mixed before that."""

    value: str
    squashed: bool
    mixed: bool

    def may_pass(self, op: str) -> bool:
        """Between what squashes a gate and its use, nothing mixes."""
        return self.squashed or op in kinds.ELEMENTWISE or op in kinds.SOFTMAX

    def before(self, node: Node, value: str) -> _Place:
        """One step further, through the node that made it."""
        op = kinds.plain_name(node)
        squashes = op in kinds.SQUASHING or op in kinds.SOFTMAX
        return _Place(value, self.squashed or squashes, self.mixed or _mixes(node))


def _mixes(node: Node) -> bool:
    return kinds.is_reduction(kinds.plain_name(node)) or node.op in kinds.CONVOLUTIONS


_Rule = Callable[[_Search, Node, Sequence[_Flag]], _Flag]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(kinds.PRODUCT_OPERANDS, _Search._product),
    **dict.fromkeys(kinds.SOFTMAX, _Search._softmax),
    **dict.fromkeys(kinds.SQUASHING, _Search._squash),
    "Div": _Search._quotient,
    "Mul": _Search._times,
}


def _rule(op: str) -> _Rule | None:
    """What is looked at in an operator; None where its flags are all that matters."""
    if "Attention" in op or "Attn" in op:
        return _Search._attention
    return _Search._reduction if kinds.is_reduction(op) else _RULES.get(op)
