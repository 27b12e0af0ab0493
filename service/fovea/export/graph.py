"""Finishes an exported graph: layers named, residual ends fused, bodies appended, traces of this machine removed."""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx

import fovea
from fovea.contract.attention import AttentionType
from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import MAP_PREFIX, AttentionLayer, TensorSpec
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.function_bodies import body_of, outputs_of, overload_of
from fovea.export.lengths import AxisNames, length_axes
from fovea.export.residual import fuse_residuals, uses

_SCOPES = "pkg.torch.onnx.name_scopes"

_DATATYPE_OF_ONNX = {facts.onnx: name for name, facts in DATATYPES.items()}
"""ONNX element type -> protocol datatype."""


@dataclass(frozen=True)
class ExportedGraph:
    """The two files of a version, and the attention layers in the order in which the module calls them."""

    model: onnx.ModelProto
    maps: onnx.ModelProto | None
    """The same graph with every attention map as an output after the model's own; None where there are no maps."""
    layers: tuple[AttentionLayer, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lengths: AxisNames
    """Of outputs and maps, for those that have axes as long as a length that goes in."""


def finish(traced: onnx.ModelProto) -> ExportedGraph:
    """Turn what torch wrote into the files of a version. `traced` is not changed."""
    model = copy.deepcopy(traced)
    names = _layer_names(attention_nodes(model))
    for node, name in zip(attention_nodes(model), names, strict=True):
        node.name = name
    fuse_residuals(model.graph)
    shapes, nodes = _shapes(model), _nodes_by_layer(model)
    layers = tuple(_layer(nodes[name], shapes) for name in names)
    _remove_traces(model)
    return ExportedGraph(
        model=_with_bodies(_without_maps(model)),
        maps=_with_bodies(_with_maps(model, layers)) if nodes else None,
        layers=layers,
        inputs=tuple(_spec(value) for value in model.graph.input),
        outputs=tuple(_spec(value) for value in model.graph.output),
        lengths=length_axes(model.graph.input, _answers(model, layers)),
    )


def attention_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of domain `ai.fovea`, in order."""
    return [node for node in model.graph.node if node.domain == DOMAIN]


def _nodes_by_layer(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {node.name: node for node in attention_nodes(model)}


def _layer_names(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """The path of the module that made each node; a module used again gets `#2`, `#3`."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for node in nodes:
        path = _module_path(node) or node.op_type
        seen[path] = seen.get(path, 0) + 1
        names.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    return names


def _module_path(node: onnx.NodeProto) -> str:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "['']")
    modules = ast.literal_eval(scopes)[:-1]  # the last scope is the call itself
    return str(modules[-1]) if modules else ""


def _layer(node: onnx.NodeProto, shapes: dict[str, onnx.ValueInfoProto]) -> AttentionLayer:
    operator = OPERATORS[node.op_type]
    names = [f"{MAP_PREFIX}{node.name}"]
    if len(operator.maps) > 1:
        names = [f"{MAP_PREFIX}{node.name}.{output.lower()}" for output in operator.maps]
    maps = tuple(
        _spec(shapes[value]).model_copy(update={"name": name})
        for name, value in zip(names, node.output[1:], strict=True)
    )
    return AttentionLayer(name=node.name, attention=_attention(node, shapes), operator=operator.name, maps=maps)


def _attention(node: onnx.NodeProto, shapes: dict[str, onnx.ValueInfoProto]) -> AttentionType:
    """The operator's type, or the narrower one that this node's facts make of it."""
    operator = OPERATORS[node.op_type]
    first = shapes.get(node.input[0])
    sizes = [axis.dim_value for axis in first.type.tensor_type.shape.dim] if first is not None else []
    match operator.attention, sizes:
        case AttentionType.MULTI_HEAD, [_, 1, _, _]:  # Q (B, heads, Tq, d)
            return AttentionType.SELF
        case AttentionType.DOT, [_, _, width] if _is_scaled(node, width):  # Q (B, Tq, A)
            return AttentionType.SCALED_DOT
    return operator.attention


def _is_scaled(node: onnx.NodeProto, width: int) -> bool:
    """Whether products are divided by the root of the width; of width 1 there is nothing to divide by."""
    scale = next(attribute.f for attribute in node.attribute if attribute.name == "scale")
    return width > 1 and math.isclose(scale, width**-0.5, rel_tol=1e-6)  # attributes are float32


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


def _without_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every attention node lists all its outputs, the unused ones as ""."""
    result = copy.deepcopy(model)
    used = uses(result.graph)
    for node in attention_nodes(result):
        node.output[:] = [name if name in used else "" for name in node.output]
    produced = {name for node in result.graph.node for name in node.output}
    kept = [value for value in result.graph.value_info if value.name in produced]
    del result.graph.value_info[:]
    result.graph.value_info.extend(kept)
    return result


def _with_maps(model: onnx.ModelProto, layers: tuple[AttentionLayer, ...]) -> onnx.ModelProto:
    """Every map is a graph output, by an Identity where the graph itself uses it too."""
    result = copy.deepcopy(model)
    shapes, nodes = _shapes(result), _nodes_by_layer(result)
    for layer in layers:
        for value, spec in zip(list(nodes[layer.name].output[1:]), layer.maps, strict=True):
            output = onnx.ValueInfoProto()
            output.CopyFrom(shapes[value])
            output.name = spec.name
            result.graph.output.append(output)
            result.graph.node.append(onnx.helper.make_node("Identity", [value], [spec.name], name=spec.name))
    return result


def _with_bodies(model: onnx.ModelProto) -> onnx.ModelProto:
    """Each node is bound to the body it needs and lists that body's outputs; the result passes ONNX's checker."""
    nodes = attention_nodes(model)
    for node in nodes:
        node.overload = overload_of(node)
        del node.output[len(outputs_of(node.op_type, node.overload)) :]
    for operator, overload in sorted({(node.op_type, node.overload) for node in nodes}):
        model.functions.append(body_of(operator, overload))
    _check(model)
    return model


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


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportFailed(f"the exported graph is not valid ONNX: {str(error).splitlines()[0]}") from error
