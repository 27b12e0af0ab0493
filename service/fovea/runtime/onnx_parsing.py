"""Graphs and functions as they are in an ONNX file, read without the package onnx: servers do not have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fovea.runtime.protobuf_fields import Steps, Unreadable, fields, text

DEEPEST = 40
"""Sub-graphs and functions in one another."""


@dataclass(slots=True)
class ParsedGraph:
    """A graph or a function, as it is in the file."""

    nodes: list[ParsedNode] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ParsedNode:
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    op: str = ""
    domain: str = ""
    overload: str = ""
    name: str = ""
    activation: str = ""
    """What an operator that ONNX Runtime has fused does at its end."""
    graphs: list[ParsedGraph] = field(default_factory=list)


FunctionKey = tuple[str, str, str]
"""What a function is called by: domain, name, overload."""


def parse_model(model: memoryview, steps: Steps) -> tuple[ParsedGraph, Mapping[FunctionKey, ParsedGraph]]:
    """The graph of a serialised ModelProto, and its functions; Unreadable where it is none, or takes too many steps."""
    graph, functions = ParsedGraph(), {}
    for number, value in _messages(model, steps):
        if number == 7:
            graph = _graph(value, steps, 0)
        elif number == 25:
            key, function = _function(value, steps)
            functions[key] = function
    return graph, functions


def _messages(message: memoryview, steps: Steps) -> Iterator[tuple[int, memoryview]]:
    """The fields that are texts or messages."""
    for number, value in fields(message, steps):
        if isinstance(value, memoryview):
            yield number, value


def _graph(message: memoryview, steps: Steps, depth: int) -> ParsedGraph:
    if depth > DEEPEST:
        raise Unreadable("its graphs are nested too deep")
    graph = ParsedGraph()
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


def _function(message: memoryview, steps: Steps) -> tuple[FunctionKey, ParsedGraph]:
    function, facts = ParsedGraph(), {1: "", 10: "", 13: ""}
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


def _node(message: memoryview, steps: Steps, depth: int) -> ParsedNode:
    node = ParsedNode()
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


def _attribute(node: ParsedNode, message: memoryview, steps: Steps, depth: int) -> None:
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
