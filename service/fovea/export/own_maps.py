"""Maps that a module gives itself, beside its outputs: those of attention that no single operator is.

An output whose name begins with `attention.` is one. It must come after the outputs that are answers.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import onnx

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import MAP_PREFIX
from fovea.export.graph import ExportedGraph


def with_own_maps(graph: ExportedGraph, attention: AttentionType | None) -> ExportedGraph:
    """The graph in which they are maps of layers of this type: outputs of the file with maps alone."""
    own = tuple(spec for spec in graph.outputs if spec.name.startswith(MAP_PREFIX))
    if not own:
        return graph
    answers = graph.outputs[: -len(own)]
    if attention is None or not answers or graph.outputs != (*answers, *own):
        raise ExportFailed(f"{own[0].name} is an attention map: expected it after the answers, and a type for it")
    layers = [
        AttentionLayer(name=spec.name.removeprefix(MAP_PREFIX), attention=attention, maps=(spec,)) for spec in own
    ]
    return replace(
        graph,
        model=_without(graph.model, {spec.name for spec in own}),
        maps=graph.maps or graph.model,
        layers=(*layers, *graph.layers),
        outputs=answers,
    )


def _without(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Without these outputs, and without what only they need."""
    result = copy.deepcopy(model)
    graph = result.graph
    outputs = [value for value in graph.output if value.name not in names]
    needed, nodes = {value.name for value in outputs}, list[onnx.NodeProto]()
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed |= _read_by(node) - {""}  # which stands for what was left out
            nodes.insert(0, node)
    _keep(graph.output, outputs)
    _keep(graph.node, nodes)
    _keep(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in needed])
    _keep(graph.value_info, [value for value in graph.value_info if value.name in needed])
    return result


def _read_by(node: onnx.NodeProto) -> set[str]:
    """What a node takes, and what the graphs inside it do."""
    graphs = [graph for attribute in node.attribute for graph in (*attribute.graphs, attribute.g)]
    return {*node.input, *(name for graph in graphs for inner in graph.node for name in _read_by(inner))}


def _keep(field: Any, kept: list[Any]) -> None:
    copies = [copy.deepcopy(one) for one in kept]
    del field[:]
    field.extend(copies)
