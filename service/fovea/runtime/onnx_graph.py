"""The nodes of an ONNX file as one flat list, read without the package onnx: servers do not have it.

Local functions are inlined and sub-graphs stand in place, so that the way of every value can be followed. Operators of
`ai.fovea` stay whole.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import count, zip_longest

from fovea.contract.operators import DOMAIN
from fovea.runtime.protobuf_fields import Steps, Unreadable, fields, text

JOIN = "Join"
"""What stands where a sub-graph takes or gives values: its output is one of its inputs."""

NODE_STEPS = 10
"""A node takes about as long to be looked at as so many fields to be skipped."""
_DEEPEST = 40
"""Sub-graphs and functions in one another."""
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


@dataclass(slots=True)
class _Parsed:
    """A graph or a function, as it is in the file."""

    nodes: list[_ParsedNode] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _ParsedNode:
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    op: str = ""
    domain: str = ""
    overload: str = ""
    name: str = ""
    activation: str = ""
    """What an operator that ONNX Runtime has fused does at its end."""
    graphs: list[_Parsed] = field(default_factory=list)


_Key = tuple[str, str, str]
"""Of a function: domain, name, overload."""


def flat_graph(model: memoryview, steps: Steps) -> FlatGraph:
    """The graph of a serialised ModelProto; Unreadable where it is none, or takes too many steps."""
    graph, functions = _Parsed(), {}
    for number, value in _messages(model, steps):
        if number == 7:
            graph = _graph(value, steps, 0)
        elif number == 25:
            key, function = _function(value, steps)
            functions[key] = function
    return _Flattening(functions, steps).whole(graph)


def _messages(message: memoryview, steps: Steps) -> Iterator[tuple[int, memoryview]]:
    """The fields that are texts or messages."""
    for number, value in fields(message, steps):
        if isinstance(value, memoryview):
            yield number, value


def _graph(message: memoryview, steps: Steps, depth: int) -> _Parsed:
    if depth > _DEEPEST:
        raise Unreadable("its graphs are nested too deep")
    graph = _Parsed()
    for number, value in _messages(message, steps):
        if number == 1:
            graph.nodes.append(_node(value, steps, depth))
        elif number == 5:
            graph.weights.add(_text_of(value, 8, steps))
        elif number == 11:
            graph.inputs.append(_text_of(value, 1, steps))
        elif number == 12:
            graph.outputs.append(_text_of(value, 1, steps))
    return graph


def _function(message: memoryview, steps: Steps) -> tuple[_Key, _Parsed]:
    function, facts = _Parsed(), {1: "", 10: "", 13: ""}
    for number, value in _messages(message, steps):
        if number == 4:
            function.inputs.append(text(value))
        elif number == 5:
            function.outputs.append(text(value))
        elif number == 7:
            function.nodes.append(_node(value, steps, 0))
        elif number in facts:
            facts[number] = text(value)
    return (facts[10], facts[1], facts[13]), function


_NODE_TEXTS = {3: "name", 4: "op", 7: "domain", 8: "overload"}


def _node(message: memoryview, steps: Steps, depth: int) -> _ParsedNode:
    node = _ParsedNode()
    for number, value in _messages(message, steps):
        if number == 1:
            node.inputs.append(text(value))
        elif number == 2:
            node.outputs.append(text(value))
        elif number == 5:
            _attribute(node, value, steps, depth)
        elif number in _NODE_TEXTS:
            setattr(node, _NODE_TEXTS[number], text(value))
    node.domain = "" if node.domain == "ai.onnx" else node.domain
    return node


def _attribute(node: _ParsedNode, message: memoryview, steps: Steps, depth: int) -> None:
    name = value = ""
    for number, part in _messages(message, steps):
        if number == 1:
            name = text(part)
        elif number == 4:
            value = text(part[:64])
        elif number in (6, 11):
            node.graphs.append(_graph(part, steps, depth + 1))
    if name == "activation":
        node.activation = value


def _text_of(message: memoryview, wanted: int, steps: Steps) -> str:
    return next((text(value) for number, value in _messages(message, steps) if number == wanted), "")


_Scope = MutableMapping[str, str]
"""A value's name where it is used -> its name in the flat list."""


class _Flattening:
    def __init__(self, functions: Mapping[_Key, _Parsed], steps: Steps) -> None:
        self._functions, self._steps = functions, steps
        self._nodes: list[Node] = []
        self._inputs: set[str] = set()
        self._numbers = count()

    def whole(self, graph: _Parsed) -> FlatGraph:
        scope = {name: self._new(name) for name in graph.inputs}
        self._inputs.update(scope[name] for name in graph.inputs if name not in graph.weights)
        self._body(graph.nodes, scope, 0)
        return FlatGraph(self._nodes, frozenset(self._inputs))

    def _new(self, name: str) -> str:
        return f"{name}#{next(self._numbers)}"

    def _body(self, nodes: Sequence[_ParsedNode], scope: _Scope, depth: int) -> None:
        """The nodes of a graph or function, whose outputs come into `scope`."""
        if depth > _DEEPEST:
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

    def _plain(self, node: _ParsedNode, inputs: Sequence[str], scope: _Scope) -> None:
        outputs = self._outputs(node, scope)
        if not node.activation:
            self._nodes.append(Node(node.op, tuple(inputs), outputs, node.domain, node.name))
            return
        before = (self._new(node.op),)
        self._nodes.append(Node(node.op, tuple(inputs), before, node.domain, node.name))
        self._nodes.append(Node(node.activation, before, outputs))

    def _outputs(self, node: _ParsedNode, scope: _Scope) -> tuple[str, ...]:
        made = tuple(self._new(name) if name else "" for name in node.outputs)
        scope.update((name, new) for name, new in zip(node.outputs, made, strict=True) if name)
        return made

    def _call(self, node: _ParsedNode, function: _Parsed, inputs: Sequence[str], scope: _Scope, depth: int) -> None:
        inner: _Scope = dict(zip_longest(function.inputs, inputs[: len(function.inputs)], fillvalue=""))
        self._body(function.nodes, inner, depth + 1)
        scope.update((name, inner.get(given, "")) for name, given in zip(node.outputs, function.outputs, strict=False))

    def _with_graphs(self, node: _ParsedNode, inputs: Sequence[str], scope: _Scope, depth: int) -> None:
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
