"""Ends of residual branches: attention, the sum with the shortcut and its ReLU become one `…AddRelu` node.

Fused where nobody else sees what lies between. All else stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from fovea.contract.operators import DOMAIN, RESIDUAL_FORMS


@dataclass(frozen=True)
class _Branch:
    """The three nodes, and R, the other operand of the sum."""

    attention: onnx.NodeProto
    add: onnx.NodeProto
    relu: onnx.NodeProto
    shortcut: str


def fuse_residuals(graph: onnx.GraphProto) -> None:
    """Put an `…AddRelu` node at the place of the ReLU of each such branch; the name and the maps of its block stay."""
    for node in [node for node in graph.node if node.domain == DOMAIN and node.op_type in RESIDUAL_FORMS]:
        branch = _branch(node, graph)  # looked for anew: of two blocks in one sum, the first takes it
        if branch is not None:
            _fuse(branch, graph)


def uses(graph: onnx.GraphProto) -> Counter[str]:
    """How often each value is read: by nodes, by graphs inside nodes, and as an output of the graph."""
    count = Counter(value.name for value in graph.output)
    for node in graph.node:
        count.update(node.input)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                count.update(uses(inner))
    return count


def _branch(attention: onnx.NodeProto, graph: onnx.GraphProto) -> _Branch | None:
    """The branch that ends with this block, if it can be one node.

    A map that another node reads forbids it: that node may come before the ReLU, or even lead to R.
    """
    read, returned = uses(graph), Counter(value.name for value in graph.output)
    block, *maps = attention.output
    add = _only_reader(block, "Add", graph, read)
    relu = _only_reader(add.output[0], "Relu", graph, read) if add is not None else None
    if add is None or relu is None or any(read[name] > returned[name] for name in maps):
        return None
    shortcut = next(name for name in add.input if name != block)
    return _Branch(attention, add, relu, shortcut) if _same_shape(block, shortcut, graph) else None


def _only_reader(value: str, op_type: str, graph: onnx.GraphProto, read: Mapping[str, int]) -> onnx.NodeProto | None:
    """The node that reads the value, where it is the only one and of this type."""
    if read[value] != 1:
        return None
    readers = (node for node in graph.node if value in node.input and node.op_type == op_type and node.domain == "")
    return next(readers, None)


def _same_shape(left: str, right: str, graph: onnx.GraphProto) -> bool:
    """Whether both have the same known sizes; an axis of unknown size counts where it has a name."""
    shapes = {value.name: value.type.tensor_type.shape for value in (*graph.value_info, *graph.input, *graph.output)}
    if left not in shapes or right not in shapes:
        return False
    sizes = [[axis.dim_param or axis.dim_value for axis in shapes[name].dim] for name in (left, right)]
    return sizes[0] == sizes[1] and 0 not in sizes[0]


def _fuse(branch: _Branch, graph: onnx.GraphProto) -> None:
    fused = onnx.NodeProto()
    fused.CopyFrom(branch.attention)
    fused.op_type = RESIDUAL_FORMS[fused.op_type].name
    fused.input.append(branch.shortcut)
    fused.output[0] = branch.relu.output[0]
    gone = {branch.attention.output[0], branch.add.output[0]}
    branch.relu.CopyFrom(fused)
    graph.node.remove(branch.attention)
    graph.node.remove(branch.add)
    known = [value for value in graph.value_info if value.name not in gone]
    del graph.value_info[:]
    graph.value_info.extend(known)
