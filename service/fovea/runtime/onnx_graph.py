"""The nodes of an ONNX file as one flat list.

Local functions are inlined and sub-graphs stand in place, so that the way of every value can be followed. Operators of
`ai.fovea` stay whole.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import count, zip_longest
from mmap import ACCESS_READ, mmap
from pathlib import Path

from fovea.contract.operators import DOMAIN
from fovea.runtime.onnx_parsing import DEEPEST, FunctionKey, ParsedGraph, ParsedNode, parse_model
from fovea.runtime.protobuf_fields import Steps, Unreadable

JOIN = "Join"
"""What stands where a sub-graph takes or gives values: its output is one of its inputs."""

NODE_STEPS = 10
"""A node takes about as long to be looked at as so many fields to be skipped."""
_FIRST_OUTPUT = {"Loop": 1}
"""Operator -> the first output of its body that is an output of the node; a loop's own first one is its condition."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `inputs` and `outputs` are names of values, unique in the whole list; "" for one that is left out."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class FlatGraph:
    """The nodes in order, and the values that come from outside: the graph's inputs, and those of loops' bodies."""

    nodes: Sequence[Node]
    inputs: frozenset[str]


def flat_graph_of_file(model: Path, steps: Steps) -> FlatGraph:
    """The same of an ONNX file; OSError or ValueError where it cannot be read or is empty."""
    with model.open("rb") as file:
        content = mmap(file.fileno(), 0, access=ACCESS_READ)  # let go with the last view of it, not by hand
    return flat_graph(memoryview(content), steps)


def flat_graph(model: memoryview, steps: Steps) -> FlatGraph:
    """The graph of a serialised ModelProto; Unreadable where it is none, or takes too many steps."""
    graph, functions = parse_model(model, steps)
    return _Flattening(functions, steps).whole(graph)


_Scope = MutableMapping[str, str]
"""A value's name where it is used -> its name in the flat list."""


class _Flattening:
    def __init__(self, functions: Mapping[FunctionKey, ParsedGraph], steps: Steps) -> None:
        self._functions, self._steps = functions, steps
        self._nodes: list[Node] = []
        self._inputs: set[str] = set()
        self._numbers = count()

    def whole(self, graph: ParsedGraph) -> FlatGraph:
        scope = {name: self._new(name) for name in graph.inputs}
        self._inputs.update(scope[name] for name in graph.inputs if name not in graph.weights)
        self._body(graph.nodes, scope, 0)
        return FlatGraph(self._nodes, frozenset(self._inputs))

    def _new(self, name: str) -> str:
        return f"{name}#{next(self._numbers)}"

    def _body(self, nodes: Sequence[ParsedNode], scope: _Scope, depth: int) -> None:
        """The nodes of a graph or function, whose outputs come into `scope`."""
        if depth > DEEPEST:
            raise Unreadable("its functions are nested too deep")
        for node in nodes:
            self._steps.take(NODE_STEPS)
            inputs = [scope.get(name, name) if name else "" for name in node.inputs]
            function = self._functions.get((node.domain, node.op, node.overload)) if node.domain != DOMAIN else None
            if function is not None:
                self._call(node, function, inputs, scope, depth)
            elif node.graphs:
                self._with_graphs(node, inputs, scope, depth)
            else:
                self._plain(node, inputs, scope)

    def _plain(self, node: ParsedNode, inputs: Sequence[str], scope: _Scope) -> None:
        outputs = self._outputs(node, scope)
        if not node.activation:
            self._nodes.append(Node(node.op, tuple(inputs), outputs, node.domain, node.name))
            return
        before = (self._new(node.op),)
        self._nodes.append(Node(node.op, tuple(inputs), before, node.domain, node.name))
        self._nodes.append(Node(node.activation, before, outputs))

    def _outputs(self, node: ParsedNode, scope: _Scope) -> tuple[str, ...]:
        made = tuple(self._new(name) if name else "" for name in node.outputs)
        scope.update((name, new) for name, new in zip(node.outputs, made, strict=True) if name)
        return made

    def _call(self, node: ParsedNode, function: ParsedGraph, inputs: Sequence[str], scope: _Scope, depth: int) -> None:
        inner: _Scope = dict(zip_longest(function.inputs, inputs[: len(function.inputs)], fillvalue=""))
        self._body(function.nodes, inner, depth + 1)
        scope.update((name, inner.get(given, "")) for name, given in zip(node.outputs, function.outputs, strict=False))

    def _with_graphs(self, node: ParsedNode, inputs: Sequence[str], scope: _Scope, depth: int) -> None:
        """A value that a body takes or gives is joined to the node's own."""
        given: list[list[str]] = []
        for graph in node.graphs:
            inner = ChainMap({name: self._new(name) for name in graph.inputs}, scope)
            self._inputs.update(inner[name] for name in graph.inputs)
            for name, outer in zip(graph.inputs, inputs, strict=False):
                self._nodes.append(Node(JOIN, (outer,), (inner[name],)))
            self._body(graph.nodes, inner, depth + 1)
            given.append([inner.get(name, "") for name in graph.outputs[_FIRST_OUTPUT.get(node.op, 0) :]])
        for output, sources in zip(self._outputs(node, scope), zip_longest(*given, fillvalue=""), strict=False):
            self._nodes.append(Node(JOIN, sources, (output,)))
