"""Small models whose inputs and outputs are no plain tensors: what converters of scikit-learn write, and ONNX's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3])


def _floats(name: str, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(
    repository: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    defaults: dict[str, np.ndarray] | None = None,
) -> Path:
    """Write a version; `defaults` are initializers."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    weights = [numpy_helper.from_array(array, key) for key, array in (defaults or {}).items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=_OPSETS, ir_version=10), folder / "model.onnx")
    return folder


def classifier(repository: Path, name: str, classes: list[int] | list[str]) -> None:
    """As skl2onnx writes one by default: `label`, and `probabilities`, a sequence of maps from class to number."""
    of_numbers = isinstance(classes[0], int)
    key = TensorProto.INT64 if of_numbers else TensorProto.STRING
    maps = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    named = {"classlabels_int64s" if of_numbers else "classlabels_strings": classes}
    save(
        repository,
        name,
        [
            helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
            helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", **named),
        ],
        [_floats("x", ["n", len(classes)])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_value_info("probabilities", helper.make_sequence_type_proto(maps)),
        ],
    )


def sequence(repository: Path, name: str, nodes: list[onnx.NodeProto]) -> None:
    """From `x`, (n, 3), to `y`, a sequence of tensors."""
    of_floats = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    save(repository, name, nodes, [_floats("x", ["n", 3])], [helper.make_value_info("y", of_floats)])


def optional_input(repository: Path, name: str, *, needed: bool = False) -> None:
    """y = x + o, or x + 1 where `o`, of an optional type, is left out; where it is `needed`, that fails."""
    node = helper.make_node
    given = helper.make_graph([node("OptionalGetElement", ["o"], ["t"])], "given", [], [_floats("t", None)])
    missing = helper.make_graph([node("Identity", ["one"], ["e"])], "missing", [], [_floats("e", None)])
    value = [
        node("OptionalHasElement", ["o"], ["has"]),
        node("If", ["has"], ["v"], then_branch=given, else_branch=given if needed else missing),
    ]
    inputs = [_floats("x", ["n", 3]), helper.make_value_info("o", helper.make_optional_type_proto(FLOATS))]
    save(
        repository,
        name,
        [*value, node("Add", ["x", "v"], ["y"])],
        inputs,
        [_floats("y", ["n", 3])],
        {"one": np.ones((1, 3), np.float32)},
    )


def default_input(repository: Path, name: str) -> None:
    """y = x * scale; `scale` is an input that has a default of 2."""
    inputs = [_floats("x", ["n", 3]), _floats("scale", [1])]
    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    save(repository, name, nodes, inputs, [_floats("y", ["n", 3])], {"scale": np.array([2], np.float32)})
