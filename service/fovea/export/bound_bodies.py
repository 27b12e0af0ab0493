"""Binds the attention nodes of a graph to the function bodies that they need, each of which is then in the file."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from fovea.contract.errors import ExportFailed
from fovea.contract.operators import DOMAIN
from fovea.export.function_bodies import body_of, overload_of

Bodies = Mapping[tuple[str, str], onnx.FunctionProto]
"""(Operator, overload) -> body."""
WITH_MAPS = "_maps"


def attention_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of domain `ai.fovea`, in order."""
    return [node for node in model.graph.node if node.domain == DOMAIN]


def bind_bodies(model: onnx.ModelProto, found: Bodies) -> onnx.ModelProto:
    """Change `model` so that each node lists its body's outputs, and the bodies are there. It passes ONNX's checker.

    The nodes that rules made have their bodies in `found`; all others have Fovea's own.
    """
    bodies: dict[tuple[str, str], onnx.FunctionProto] = {}
    for node in attention_nodes(model):
        while not node.input[-1]:  # an optional input that is left out at the end
            del node.input[-1]
        node.overload = _overload(node, found)
        key = (node.op_type, node.overload)
        bodies[key] = found[key] if key in found else body_of(*key)
        del node.output[len(bodies[key].output) :]
    model.functions.extend(bodies[key] for key in sorted(bodies))
    _check(model)
    return model


def _overload(node: onnx.NodeProto, found: Bodies) -> str:
    if (node.op_type, node.overload) not in found:
        return overload_of(node)
    return node.overload + WITH_MAPS if any(node.output[1:]) else str(node.overload)


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportFailed(f"the exported graph is not valid ONNX: {str(error).splitlines()[0]}") from error
