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

from fovea.contract.operators import DOMAIN
from fovea.runtime.onnx_graph import JOIN, FlatGraph, Node
from fovea.runtime.protobuf_fields import Steps

OPERATOR, SOFTMAX, PRODUCTS, GATE = (
    "attention operator",
    "softmax that weighs something",
    "chain of matrix products",
    "gate on what it comes from",
)

_LAYOUT = frozenset(
    "Cast CastLike DequantizeLinear Dropout Expand Flatten Identity QuantizeLinear ReorderInput ReorderOutput Reshape "
    "Squeeze Transpose Unsqueeze".split()
)
_SQUASHING = frozenset("Clip Exp HardSigmoid Sigmoid".split())
"""What makes a gate of a number. A sigmoid and its hard form are also written out, with an Exp or a Clip."""
_ELEMENTWISE = _LAYOUT | _SQUASHING | frozenset(
    f"{JOIN} Abs Add BiasAdd Concat ConcatFromSequence Div DynamicQuantizeLinear Erf Gather GatherElements GatherND Log "
    "LeakyRelu Max Mean Min Mul Neg Pad Pow Reciprocal Relu ScatterElements ScatterND SequenceAt SequenceConstruct "
    "SequenceInsert Slice Softplus Split SplitToSequence Sqrt Sub Sum Tanh ThresholdedRelu Tile TopK Trilu Where".split()
)
_SOFTMAX = frozenset("BiasSoftmax Hardmax Softmax".split())
_PRODUCT_OPERANDS = {
    "MatMul": (0, 1), "Gemm": (0, 1), "Conv": (0, 1), "Einsum": (0, 1, 2, 3),
    "QLinearMatMul": (0, 3), "QLinearConv": (0, 3), "QGemm": (0, 3), "MatMulInteger": (0, 1), "ConvInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1), "MatMulNBits": (0,),
    "FusedMatMul": (0, 1), "TransposeMatMul": (0, 1), "FusedGemm": (0, 1), "FusedConv": (0, 1),
}  # fmt: skip
"""Operator -> which of its inputs are multiplied; the others are scales, zero points and biases."""
_CONVOLUTIONS = frozenset("Conv ConvInteger FusedConv QLinearConv".split())
_GATE_ENDS = _ELEMENTWISE | _SOFTMAX
"""What may stand between what squashes a gate and its use."""
_STABILISING = frozenset("Add Clip Max".split())
"""What keeps a sum from being zero."""
_SHAPES = frozenset("ConstantOfShape Shape Size".split())
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
            self._steps.take()
            after = self._after(node)
            self._flags |= {output: self._flags.get(output, _NOTHING) | after for output in node.outputs}
        return self._found

    def _after(self, node: Node) -> _Flag:
        """The flags of its outputs."""
        op, flags = _name(node), [self._flags.get(name, _NOTHING) for name in node.inputs]
        joined = reduce(or_, flags, _NOTHING)
        if node.domain == DOMAIN:
            return joined & _Flag.COMPUTED
        passed = _NOTHING if op in _SHAPES else joined if op in _ELEMENTWISE else joined & _Flag.COMPUTED
        rule = _rule(op)
        return passed | rule(self, node, flags) if rule else passed

    def _attention(self, _node: Node, _flags: Sequence[_Flag]) -> _Flag:
        self._found[OPERATOR] += 1
        return _NOTHING

    def _product(self, node: Node, flags: Sequence[_Flag]) -> _Flag:
        operands = [flags[place] for place in _PRODUCT_OPERANDS[_name(node)] if place < len(flags)]
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
        total = self._maker.get(self._root(node.inputs[1], _LAYOUT | _STABILISING))
        is_sum = total is not None and _name(total) == "ReduceSum" and total.inputs
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

    def _root(self, value: str, through: frozenset[str] = _LAYOUT) -> str:
        """Where a value comes from, but for how it is laid out."""
        while (node := self._maker.get(value)) is not None and _name(node) in through:
            self._steps.take()
            value = node.inputs[0]
        return value

    def _is_gate(self, source: str, gate: str) -> bool:
        """Whether `gate` was squashed from something that was pooled, averaged or convolved from `source`."""
        sources = {source, self._root(source)}
        reached, waiting = set[tuple[str, bool, bool]](), deque([(0, gate, False, False)])
        while waiting:
            products, value, squashed, mixed = waiting.popleft()
            self._steps.take()
            if mixed and value in sources:
                return True
            node = self._maker.get(value)
            if (value, squashed, mixed) in reached or node is None or not (squashed or _name(node) in _GATE_ENDS):
                continue
            reached.add((value, squashed, mixed))
            squashed, mixed = squashed or _name(node) in _SQUASHING | _SOFTMAX, mixed or _mixes(node)
            far = _name(node) in _PRODUCT_OPERANDS
            if products + far <= _MOST_PRODUCTS:
                add = waiting.extend if far else waiting.extendleft  # the nearest go first
                add((products + far, name, squashed, mixed) for name in node.inputs)
        return False


def _name(node: Node) -> str:
    """The operator, whether it is quantised or not."""
    return node.op if node.op in _PRODUCT_OPERANDS else node.op.removeprefix("QLinear")


def _is_reduction(op: str) -> bool:
    return op.startswith(("Reduce", "Global")) or op.endswith("Pool")


def _mixes(node: Node) -> bool:
    return _is_reduction(_name(node)) or node.op in _CONVOLUTIONS


_Rule = Callable[[_Search, Node, Sequence[_Flag]], _Flag]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_PRODUCT_OPERANDS, _Search._product),
    **dict.fromkeys(_SOFTMAX, _Search._softmax),
    **dict.fromkeys(_SQUASHING, _Search._squash),
    "Div": _Search._quotient,
    "Mul": _Search._times,
}


def _rule(op: str) -> _Rule | None:
    """What is looked at in an operator; None where its flags are all that matters."""
    if "Attention" in op:
        return _Search._attention
    return _Search._reduction if _is_reduction(op) else _RULES.get(op)
