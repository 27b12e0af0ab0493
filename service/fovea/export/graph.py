"""Finishes an exported graph: layers named, rules applied, bodies bound, traces of this machine removed."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx

import fovea
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import MAP_PREFIX
from fovea.contract.operators import OPERATORS
from fovea.contract.tensor_spec import TensorSpec
from fovea.export.bound_bodies import attention_nodes, bind_bodies
from fovea.export.layer_names import module_path, unique_names
from fovea.export.layer_types import attention_type
from fovea.export.length_axes import AxisNames, length_axes
from fovea.export.rules.applied import Applied, apply_rules
from fovea.runtime.arrays import Arrays

_DATATYPE_OF_ONNX = {facts.onnx: name for name, facts in DATATYPES.items()}
"""ONNX element type -> protocol datatype."""


@dataclass(frozen=True)
class ExportedGraph:
    """A version's two files, and its layers: the module's own in the order of its calls, then those found."""

    model: onnx.ModelProto
    maps: onnx.ModelProto | None
    """The same graph with every attention map as an output after the model's own; None where there are no maps."""
    layers: tuple[AttentionLayer, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lengths: AxisNames
    """Of outputs and maps, for those that have axes as long as a length that goes in."""
    undone: tuple[str, ...] = ()
    """What rules found that did not hold, and why."""


def finish(traced: onnx.ModelProto, example: Arrays) -> ExportedGraph:
    """Turn what torch wrote into the files of a version; `example`: inputs to try rules on.

    `traced` is used up: of a large model there should be no copy more than needed.
    """
    own = _name_own_layers(traced)
    applied = apply_rules(traced, example)
    model, names = applied.model, [*own, *_name_found_layers(applied, own)]
    shapes, nodes = _shapes(model), _nodes_by_layer(model)
    layers = tuple(_layer(nodes[name], shapes, found=name not in own) for name in names)
    _remove_traces(model)
    inputs, outputs = ([_spec(value) for value in values] for values in (model.graph.input, model.graph.output))
    lengths = length_axes(model.graph.input, _answers(model, layers))
    without = bind_bodies(_without_maps(model), applied.found)
    if nodes:
        _add_maps(model, layers)
    return ExportedGraph(
        model=without,
        maps=bind_bodies(model, applied.found) if nodes else None,
        layers=layers,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        lengths=lengths,
        undone=applied.undone,
    )


def _name_own_layers(model: onnx.ModelProto) -> list[str]:
    """By the modules that made them, in the order in which the module calls them."""
    nodes = attention_nodes(model)
    paths = [module_path([{entry.key: entry.value for entry in node.metadata_props}]) for node in nodes]
    return _named(nodes, paths, [])


def _name_found_layers(applied: Applied, own: list[str]) -> list[str]:
    nodes = [node for node in attention_nodes(applied.model) if (node.op_type, node.overload) in applied.found]
    return _named(nodes, [node.name for node in nodes], own)


def _named(nodes: list[onnx.NodeProto], paths: list[str], taken: list[str]) -> list[str]:
    names = [path or node.op_type for path, node in zip(paths, nodes, strict=True)]
    unique = unique_names([*taken, *names])[len(taken) :]
    for node, name in zip(nodes, unique, strict=True):
        node.name = name
    return unique


def _nodes_by_layer(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {node.name: node for node in attention_nodes(model)}


def _layer(node: onnx.NodeProto, shapes: dict[str, onnx.ValueInfoProto], *, found: bool) -> AttentionLayer:
    operator = OPERATORS[node.op_type]
    names = [f"{MAP_PREFIX}{node.name}"]
    if len(operator.maps) > 1:
        names = [f"{MAP_PREFIX}{node.name}.{output.lower()}" for output in operator.maps]
    maps = tuple(
        _spec(shapes[value]).model_copy(update={"name": name})
        for name, value in zip(names, node.output[1:], strict=True)
    )
    attention = attention_type(node, shapes)
    return AttentionLayer(name=node.name, attention=attention, operator=operator.name, maps=maps, found=found)


def _shapes(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    return {value.name: value for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)}


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    datatype = _DATATYPE_OF_ONNX.get(tensor.elem_type)
    if datatype is None:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise ExportFailed(f"{value.name} is of type {kind}, which cannot be served")
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, datatype=datatype, shape=shape)


def _answers(model: onnx.ModelProto, layers: Iterable[AttentionLayer]) -> dict[str, onnx.ValueInfoProto]:
    """The graph's outputs and the layers' maps, by the names that they are served by."""
    shapes, nodes = _shapes(model), _nodes_by_layer(model)
    answers = {value.name: value for value in model.graph.output}
    for layer in layers:
        values = nodes[layer.name].output[1:]
        answers |= {spec.name: shapes[value] for spec, value in zip(layer.maps, values, strict=True)}
    return answers


def _uses(graph: onnx.GraphProto) -> Counter[str]:
    """How often each value is read: by nodes, by graphs inside nodes, and as an output of the graph."""
    count = Counter(value.name for value in graph.output)
    for node in graph.node:
        count.update(node.input)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                count.update(_uses(inner))
    return count


def _without_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every attention node lists all its outputs, the unused ones as ""."""
    result = copy.deepcopy(model)
    used = _uses(result.graph)
    for node in attention_nodes(result):
        node.output[:] = [name if name in used else "" for name in node.output]
    produced = {name for node in result.graph.node for name in node.output}
    kept = [value for value in result.graph.value_info if value.name in produced]
    del result.graph.value_info[:]
    result.graph.value_info.extend(kept)
    return result


def _add_maps(model: onnx.ModelProto, layers: tuple[AttentionLayer, ...]) -> None:
    """Every map becomes a graph output, by an Identity where the graph itself uses it too."""
    shapes, nodes = _shapes(model), _nodes_by_layer(model)
    for layer in layers:
        for value, spec in zip(list(nodes[layer.name].output[1:]), layer.maps, strict=True):
            output = onnx.ValueInfoProto()
            output.CopyFrom(shapes[value])
            output.name = spec.name
            model.graph.output.append(output)
            model.graph.node.append(onnx.helper.make_node("Identity", [value], [spec.name], name=spec.name))


def _remove_traces(model: onnx.ModelProto) -> None:
    """No stack traces, no paths, no Python names of the exporting machine."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    items: list[Any] = [model, graph, *graph.node, *values, *graph.initializer]
    for item in items:
        item.doc_string = ""
        del item.metadata_props[:]
    graph.name = "fovea"
    model.producer_name, model.producer_version = "fovea", fovea.__version__
