"""Function bodies in ONNX Runtime against the torch operators in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from fovea.attention.operators import OPERATOR_OF
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.bodies import BODIES, OPSET, body_of, outputs_of

Arrays = Mapping[str, NDArray[Any]]
PLANES = [(1, 1, 1, 1), (2, 1, 7, 5), (3, 13, 1, 11), (2, 16, 14, 14), (1, 3, 2, 1)]
TOKENS = [(1, 1, 1, 1), (2, 7, 5, 3), (3, 13, 16, 8)]
HEADS = [(1, 1, 1, 1, 1), (2, 3, 7, 7, 4), (1, 2, 5, 9, 8), (2, 1, 9, 4, 3)]


def model_of(operator: str, overload: str, inputs: Arrays, attributes: Mapping[str, Any]) -> onnx.ModelProto:
    """One node and its body, and every output that the body has."""
    function = body_of(operator, overload)
    names = outputs_of(operator, overload)
    node = onnx.helper.make_node(operator, list(inputs), list(names), domain=DOMAIN, overload=overload, **attributes)
    graph_inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in inputs.items()
    ]
    kind = onnx.helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype)
    graph_outputs = [onnx.helper.make_tensor_value_info(name, kind, None) for name in names]
    graph = onnx.helper.make_graph([node], "one", graph_inputs, graph_outputs)
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, 1)]
    return onnx.helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=10)


def run(model: onnx.ModelProto, inputs: Arrays) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(inputs)))


def expect(
    torch_operator: Any, overload: str, inputs: Arrays, attributes: Mapping[str, Any], *, maps_too: bool = True
) -> None:
    """The body's outputs are the operator's in float64, to what float32 gives."""
    operator = OPERATOR_OF[torch_operator.default.name()]
    tensors = [torch.tensor(a.astype(np.float64) if a.dtype.kind == "f" else a) for a in inputs.values()]
    missing = [None] * (len(OPERATORS[operator].inputs) - len(tensors))
    settings = [bool(value) if name == "causal" else value for name, value in attributes.items()]
    expected = torch_operator(*tensors, *missing, *settings)
    actual = run(model_of(operator, overload, inputs, attributes), inputs)
    assert len(actual) == (len(expected) if maps_too else 1)
    for got, right in zip(actual, expected, strict=False):
        np.testing.assert_allclose(got, right.numpy(), rtol=0, atol=2e-5 * max(1.0, float(right.abs().max())))


def normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def mlp(channels: int, hidden: int = 4) -> dict[str, NDArray[Any]]:
    shapes = {"W1": (hidden, channels), "B1": (hidden,), "W2": (channels, hidden), "B2": (channels,)}
    return {name: normal(*shape, seed=index) for index, (name, shape) in enumerate(shapes.items(), start=1)}


def test_every_torch_operator_has_a_body() -> None:
    assert {operator for operator, _ in BODIES} >= set(OPERATOR_OF.values())


def test_every_body_has_a_torch_operator_that_says_what_it_computes() -> None:
    assert {operator for operator, _ in BODIES} <= set(OPERATOR_OF.values())


@pytest.mark.parametrize("overload", ["window", "masked", ""])
def test_a_body_that_computes_its_map_apart_exists_with_and_without_it(overload: str) -> None:
    with_map = f"{overload}_maps".lstrip("_")
    assert outputs_of("MultiHeadAttention", overload) == ("Y",)
    assert outputs_of("MultiHeadAttention", with_map) == ("Y", "P")


@pytest.mark.parametrize(("operator", "overload"), BODIES)
def test_every_node_of_a_body_bears_its_operators_name(operator: str, overload: str) -> None:
    assert all(node.name.startswith(f"{operator}/") for node in body_of(operator, overload).node)


@pytest.mark.parametrize(("operator", "overload"), BODIES)
def test_no_node_of_a_body_is_without_use(operator: str, overload: str) -> None:
    body = body_of(operator, overload)
    used = {name for node in body.node for name in node.input} | set(body.output)
    assert {name for node in body.node for name in node.output} <= used


@pytest.mark.parametrize("shape", PLANES)
def test_squeeze_and_excitation_body_is_the_operator(shape: tuple[int, ...]) -> None:
    expect(torch.ops.fovea.squeeze_excitation, "", {"X": normal(*shape), **mlp(shape[1])}, {})


@pytest.mark.parametrize("shape", PLANES)
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_spatial_attention_body_is_the_operator(shape: tuple[int, ...], kernel: int) -> None:
    expect(torch.ops.fovea.spatial_attention, "", {"X": normal(*shape), "W": normal(1, 2, kernel, kernel)}, {})


@pytest.mark.parametrize("shape", PLANES)
def test_cbam_body_is_the_operator(shape: tuple[int, ...]) -> None:
    expect(torch.ops.fovea.cbam, "", {"X": normal(*shape), **mlp(shape[1]), "W": normal(1, 2, 7, 7, seed=9)}, {})


@pytest.mark.parametrize("shape", PLANES)
@pytest.mark.parametrize("lambda_", [1e-4, 0.5])
def test_simam_body_is_the_operator(shape: tuple[int, ...], lambda_: float) -> None:
    expect(torch.ops.fovea.simam, "", {"X": normal(*shape)}, {"lambda": lambda_})


@pytest.mark.parametrize("shape", TOKENS)
def test_external_attention_body_is_the_operator(shape: tuple[int, ...]) -> None:
    rows, tokens, width, slots = shape
    inputs = {"X": normal(rows, tokens, width), "Mk": normal(slots, width, seed=1), "Mv": normal(slots, width, seed=2)}
    expect(torch.ops.fovea.external_attention, "", inputs, {"epsilon": 1e-9})


def heads(shape: Sequence[int]) -> dict[str, NDArray[Any]]:
    rows, count, queries, keys, width = shape
    sizes = {"Q": queries, "K": keys, "V": keys}
    return {name: normal(rows, count, size, width, seed=i) for i, (name, size) in enumerate(sizes.items())}


@pytest.mark.parametrize("shape", HEADS)
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(("window", "overload"), [(0, ""), (1, "window"), (3, "window")])
@pytest.mark.parametrize("maps", [False, True])
def test_multi_head_attention_body_is_the_operator(
    shape: tuple[int, ...], causal: int, window: int, overload: str, maps: bool
) -> None:
    chosen = "_".join(part for part in (overload, "maps" if maps else "") if part)
    settings = {"scale": 0.37, "causal": causal, "window": window}
    expect(torch.ops.fovea.multi_head_attention, chosen, heads(shape), settings, maps_too=maps)


@pytest.mark.parametrize("shape", HEADS)
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize("per", ["position", "key of a row", "row and head"])
@pytest.mark.parametrize("maps", [False, True])
def test_masked_multi_head_attention_body_is_the_operator(
    shape: tuple[int, ...], causal: int, window: int, per: str, maps: bool
) -> None:
    rows, count, queries, keys, _ = shape
    sizes = {
        "position": (queries, keys),
        "key of a row": (rows, 1, 1, keys),
        "row and head": (rows, count, queries, keys),
    }
    mask = np.random.default_rng(5).random(sizes[per]) < 0.5  # some queries may attend nothing
    settings = {"scale": 0.5, "causal": causal, "window": window}
    overload = "masked_maps" if maps else "masked"
    expect(torch.ops.fovea.multi_head_attention, overload, {**heads(shape), "mask": mask}, settings, maps_too=maps)


def test_a_query_that_may_attend_nothing_yields_zeros() -> None:
    inputs = {**heads((1, 2, 3, 4, 5)), "mask": np.zeros((1, 1, 3, 4), dtype=np.bool_)}
    settings = {"scale": 1.0, "causal": 0, "window": 0}
    for output in run(model_of("MultiHeadAttention", "masked_maps", inputs, settings), inputs):
        np.testing.assert_array_equal(output, np.zeros_like(output))


@pytest.mark.parametrize("lambda_", [1e-4, 0.5])
def test_simam_body_runs_in_half_precision(lambda_: float) -> None:
    inputs = {"X": normal(2, 3, 5, 7).astype(np.float16)}
    half, _ = run(model_of("SimAM", "", inputs, {"lambda": lambda_}), inputs)
    exact, _ = torch.ops.fovea.simam(torch.tensor(inputs["X"].astype(np.float64)), lambda_)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, exact.numpy(), rtol=0, atol=1e-2)


@pytest.mark.parametrize("overload", ["maps", "window_maps", "masked_maps"])
def test_multi_head_attention_body_runs_in_half_precision(overload: str) -> None:
    inputs = {name: array.astype(np.float16) for name, array in heads((1, 2, 5, 5, 4)).items()}
    if overload == "masked_maps":
        inputs["mask"] = np.eye(5, dtype=np.bool_) | (np.arange(5) == 3)
    settings = {"scale": 0.5, "causal": 1, "window": 2 if overload == "window_maps" else 0}
    for output in run(model_of("MultiHeadAttention", overload, inputs, settings), inputs):
        assert output.dtype == np.float16
        assert np.isfinite(output).all()
