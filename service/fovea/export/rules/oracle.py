"""Does what the rules made hold? The graph as it was is the oracle.

All its outputs must be the same, bit for bit, with the matched nodes as bodies. And what was found must deserve its
name: Fovea's own body of the operator, run beside each node on the same inputs, must give the same to rounding.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxscript.rewriter import RULE_NAME_TAG

from fovea.contract.errors import ExportFailed
from fovea.export.bound_bodies import Bodies, attention_nodes, bind_bodies
from fovea.runtime.arrays import Arrays
from fovea.runtime.ort_errors import short_reason

_ROUNDING = 1e-4
"""Of the largest value: what another order of float32 additions explains, as in `parity.py`."""
_LARGE = 10
_BESIDE = ".defined"


def disagreements(before: onnx.ModelProto, after: onnx.ModelProto, found: Bodies, example: Arrays) -> dict[str, str]:
    """Of the nodes that rules made, those that do not hold for these inputs: first output -> why, in a line.

    ExportFailed where the graph as it was cannot be run on them.
    """
    made = [node for node in attention_nodes(after) if any(entry.key == RULE_NAME_TAG for entry in node.metadata_props)]
    if not made:
        return {}
    inputs, was = _answered(before, found, example)
    try:
        now = _outputs(after, found, inputs)
        if all(np.array_equal(was[name], now[name], equal_nan=True) for name in was):
            return _misnamed(after, found, inputs)
        reason = "the graph gave other outputs with it"
    except Exception as error:  # ONNX's checker and ONNX Runtime have a dozen kinds
        reason = f"the graph does not run with it: {short_reason(error)}"
    return {node.output[0]: _undone(node, reason) for node in made}


def _answered(before: onnx.ModelProto, found: Bodies, example: Arrays) -> tuple[Arrays, Arrays]:
    """The inputs to try, with large rows where the graph takes them, and its outputs."""
    large = {name: _with_large_rows(array) for name, array in example.items()}
    with suppress(Exception):  # some fail on large numbers, as an index that is made of them does
        return large, _outputs(before, found, large)
    try:
        return example, _outputs(before, found, example)
    except Exception as error:
        raise ExportFailed(f"ONNX Runtime cannot run the exported graph: {short_reason(error)}") from error


def _misnamed(after: onnx.ModelProto, found: Bodies, inputs: Arrays) -> dict[str, str]:
    """Nodes that do not compute what their operator is defined to compute."""
    nodes = [node for node in attention_nodes(after) if (node.op_type, node.overload) in found]
    values = _outputs(_with_definitions(after, nodes), found, inputs) if nodes else {}
    wrong = {}
    for node in nodes:
        off = max(_difference(values[name], values[name + _BESIDE]) for name in node.output)
        if not off <= _ROUNDING:  # a NaN is wrong too
            wrong[node.output[0]] = _undone(
                node, f"the operator's definition differs by {off:.1%} of the largest value"
            )
    return wrong


def _with_definitions(after: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """The same graph with each node a second time, to have Fovea's own body; it gives the outputs of both."""
    model = copy.deepcopy(after)
    known = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    given = {value.name for value in model.graph.output}
    for node in nodes:
        defined = model.graph.node.add()
        defined.CopyFrom(node)
        defined.ClearField("overload")
        defined.output[:] = [name + _BESIDE for name in node.output]
        for name in [*(name for name in node.output if name not in given), *defined.output]:
            value = model.graph.output.add()
            value.CopyFrom(known[name.removesuffix(_BESIDE)])
            value.name = name
    return model


def _with_large_rows(array: NDArray[Any]) -> NDArray[Any]:
    """Its rows, and the same with larger numbers: some functions differ only far from zero."""
    return np.concatenate([array, array * array.dtype.type(_LARGE) if array.dtype.kind == "f" else array])


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest, of the largest value; what is no number in both is the same."""
    with np.errstate(invalid="ignore"):
        off = np.abs(np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0, one - other))
    largest = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
    return float(np.max(off, initial=0.0)) / (largest or 1.0)


def _outputs(graph: onnx.ModelProto, found: Bodies, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """As a stock ONNX Runtime gives them."""
    model = bind_bodies(copy.deepcopy(graph), found)
    for node in attention_nodes(model):
        node.name = ""  # two blocks of one module have one name as yet, which ONNX Runtime refuses
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feed = {value.name: inputs[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, feed), strict=True))


def _undone(node: onnx.NodeProto, reason: str) -> str:
    return f"{node.op_type} at {node.name or 'the top'} was undone: {reason}"
