"""The maps of layers that rules found. The module does not know of them, so the graph itself says what they should be.

They are float32: once as ONNX Runtime optimises the graph, and once, in the place of float64, node by node as it is
written. The difference is what rounding does.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnxruntime

from fovea.contract.attention_layer import AttentionLayer
from fovea.export.reference import AttentionCall
from fovea.runtime.arrays import Arrays


class FoundMaps:
    """Runs a graph that has them among its outputs. Called with inputs; `exact`: as the graph is written."""

    def __init__(self, maps: onnx.ModelProto, layers: Sequence[AttentionLayer]) -> None:
        self._layers = [layer for layer in layers if layer.found]
        model = maps.SerializeToString()
        self._sessions = {exact: _session(model, exact) for exact in (True, False)}

    def __call__(self, inputs: Arrays, *, exact: bool) -> tuple[AttentionCall, ...]:
        """A call of each layer, in order."""
        session = self._sessions[exact]
        feed = {value.name: inputs[value.name] for value in session.get_inputs()}
        names = [spec.name for layer in self._layers for spec in layer.maps]
        arrays = dict(zip(names, session.run(names, feed), strict=True))
        return tuple(
            AttentionCall(str(layer.operator), tuple(arrays[spec.name] for spec in layer.maps))
            for layer in self._layers
        )


def _session(model: bytes, exact: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
