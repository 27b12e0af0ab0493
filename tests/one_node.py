"""ONNX models of a single `ai.fovea` node with its function body, what to feed them, and what must come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.function_bodies import OPSET, body_of, outputs_of

Arrays = Mapping[str, NDArray[Any]]

PLANES = [(1, 1, 1, 1), (2, 1, 7, 5), (3, 13, 1, 11), (2, 16, 14, 14), (1, 3, 2, 1), (0, 3, 4, 5)]
"""Feature maps of awkward sizes."""


def model_of(operator: str, overload: str, inputs: Arrays, attributes: Mapping[str, Any]) -> onnx.ModelProto:
    """One node and its body, and every output that the body has."""
    function = body_of(operator, overload)
    names = outputs_of(operator, overload)
    given = [name if name in inputs else "" for name in function.input]
    node = onnx.helper.make_node(operator, given, list(names), domain=DOMAIN, overload=overload, **attributes)
    graph_inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in inputs.items()
    ]
    kind = onnx.helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype)
    kinds = [onnx.TensorProto.INT64 if name == "Index" else kind for name in names]
    graph_outputs = [
        onnx.helper.make_tensor_value_info(name, one, None) for name, one in zip(names, kinds, strict=True)
    ]
    graph = onnx.helper.make_graph([node], "one", graph_inputs, graph_outputs)
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)]
    return onnx.helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10)


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, inputs: Arrays) -> list[NDArray[Any]]:
    return list(session_of(model).run(None, dict(inputs)))


def in_float64(inputs: Arrays) -> list[Tensor]:
    """As the torch operators take them."""
    return [torch.tensor(array.astype(np.float64) if array.dtype.kind == "f" else array) for array in inputs.values()]


def arguments_of(operator: str, inputs: Arrays) -> list[Tensor | None]:
    """The inputs in float64, in the operator's order; None where one is left out."""
    given = dict(zip(inputs, in_float64(inputs), strict=True))
    return [given.get(name.removesuffix("?")) for name in OPERATORS[operator].inputs]


def require_close(actual: Sequence[NDArray[Any]], expected: Sequence[Tensor]) -> None:
    """Equal to what the outputs' own precision gives."""
    for got, right in zip(actual, expected, strict=True):
        scale = max(1.0, float(np.max(np.abs(right.numpy()), initial=0.0)))
        share = 2e-5 if got.dtype == np.float32 else 1e-2
        np.testing.assert_allclose(got, right.numpy(), rtol=0, atol=share * scale)


def halved(inputs: Arrays) -> dict[str, NDArray[Any]]:
    """The same in half precision."""
    return {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in inputs.items()}


def normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def mlp(channels: int, hidden: int = 4) -> dict[str, NDArray[Any]]:
    shapes = {"W1": (hidden, channels), "B1": (hidden,), "W2": (channels, hidden), "B2": (channels,)}
    return {name: normal(*shape, seed=index) for index, (name, shape) in enumerate(shapes.items(), start=1)}


def coordinate_layers(channels: int, hidden: int = 3) -> dict[str, NDArray[Any]]:
    """The three layers of coordinate attention."""
    shapes = {"W1": (hidden, channels), "B1": (hidden,)}
    shapes |= {
        name: size for line in "rc" for name, size in ((f"W{line}", (channels, hidden)), (f"B{line}", (channels,)))
    }
    return {name: normal(*shape, seed=index) for index, (name, shape) in enumerate(shapes.items(), start=1)}
