"""Function bodies in ONNX Runtime against the torch operators in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from fovea.export.channel_bodies import gate_overload
from fovea.export.function_bodies import BODIES, body_of, outputs_of
from kernel_cases import MASK_FORMS, masks_of
from one_node import PLANES, Arrays, arguments_of, coordinate_layers, mlp, model_of, normal, require_close, run
from torch_operators import OPERATOR_OF

TOKENS = [(1, 1, 1, 1), (2, 7, 5, 3), (3, 13, 16, 8)]
HEADS = [(1, 1, 1, 1, 1), (2, 3, 7, 7, 4), (1, 2, 5, 9, 8), (2, 1, 9, 4, 3)]


def expect(
    torch_operator: Any, overload: str, inputs: Arrays, attributes: Mapping[str, Any], *, maps_too: bool = True
) -> None:
    """The body's outputs are the operator's in float64, to what float32 gives."""
    operator = OPERATOR_OF[torch_operator.default.name()]
    settings = [bool(value) if name == "causal" else value for name, value in attributes.items()]
    expected = torch_operator(*arguments_of(operator, inputs), *settings)
    actual = run(model_of(operator, overload, inputs, attributes), inputs)
    assert len(actual) == (len(expected) if maps_too else 1)
    require_close(actual, expected[: len(actual)])


@pytest.mark.parametrize("overload", ["window", "masked", "biased", "masked_biased", ""])
def test_a_body_that_computes_its_map_apart_exists_with_and_without_it(overload: str) -> None:
    with_map = f"{overload}_maps".lstrip("_")
    assert outputs_of("MultiHeadAttention", overload) == ("Y",)
    assert outputs_of("MultiHeadAttention", with_map) == ("Y", "P")


@pytest.mark.parametrize(("operator", "overload"), BODIES)
def test_every_node_of_a_body_bears_its_operators_name(operator: str, overload: str) -> None:
    assert all(node.name.startswith(f"{operator}/") for node in body_of(operator, overload).node)


def branches(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def outputs_of_branches(node: onnx.NodeProto) -> list[str]:
    return [value.name for branch in branches(node) for value in branch.output]


def every_node(body: onnx.FunctionProto | onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in body.node:
        yield node
        for branch in branches(node):
            yield from every_node(branch)


@pytest.mark.parametrize(("operator", "overload"), BODIES)
def test_no_node_of_a_body_is_without_use(operator: str, overload: str) -> None:
    body = body_of(operator, overload)
    nodes = list(every_node(body))
    used = {name for node in nodes for name in (*node.input, *outputs_of_branches(node))} | set(body.output)
    assert {name for node in nodes for name in node.output} <= used


@pytest.mark.parametrize("shape", PLANES)
@pytest.mark.parametrize("activation", ["relu", "silu", "hard_swish"])
@pytest.mark.parametrize("slope", [0.0, 0.2, 1 / 6])
@pytest.mark.parametrize("without", [(), ("B1",), ("B1", "B2")])
def test_squeeze_and_excitation_body_is_the_operator(
    shape: tuple[int, ...], activation: str, slope: float, without: tuple[str, ...]
) -> None:
    layers = {name: array for name, array in mlp(shape[1]).items() if name not in without}
    settings = {"activation": activation, "slope": slope}
    expect(
        torch.ops.fovea.squeeze_excitation,
        gate_overload(activation, slope),
        {"X": normal(*shape), **layers},
        settings,
    )


@pytest.mark.parametrize("shape", [*PLANES, (2, 3, 4)])
def test_gate_body_is_the_operator_whatever_the_rank(shape: tuple[int, ...]) -> None:
    expect(torch.ops.fovea.gate, "", {"X": normal(*shape), "S": normal(*shape, seed=1)}, {})


@pytest.mark.parametrize("shape", [*PLANES, (1, 2, 9, 8)])
@pytest.mark.parametrize("size", [1, 2, 3, 30])
def test_max_pool_body_is_the_operator_where_maxima_are_equal_too(shape: tuple[int, ...], size: int) -> None:
    expect(torch.ops.fovea.max_pool_attention, "", {"X": np.round(normal(*shape))}, {"size": size})


@pytest.mark.parametrize("place", range(9))
def test_max_pooling_passes_what_is_no_number_wherever_it_stands_and_nothing_beside_it(place: int) -> None:
    x = normal(1, 2, 6, 6)
    x[0, 0, place // 3, place % 3] = np.nan
    x[0, 1, 3, 3:] = -np.inf
    expect(torch.ops.fovea.max_pool_attention, "", {"X": x}, {"size": 3})
    y, mask = (output.numpy() for output in torch.ops.fovea.max_pool_attention(torch.tensor(x), 3))
    assert np.flatnonzero(mask[0, 0, :3, :3]).tolist() == [place]
    assert np.isnan(y).sum() == 1
    assert np.isfinite(y[mask == 0]).all()


@pytest.mark.parametrize("shape", PLANES)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_efficient_channel_body_is_the_operator(shape: tuple[int, ...], size: int) -> None:
    inputs = {"X": normal(*shape), "W": normal(1, 1, size, seed=1)}
    expect(torch.ops.fovea.efficient_channel_attention, "", inputs, {})


@pytest.mark.parametrize("shape", PLANES)
def test_coordinate_body_is_the_operator(shape: tuple[int, ...]) -> None:
    inputs = {"X": normal(*shape), **coordinate_layers(shape[1])}
    expect(torch.ops.fovea.coordinate_attention, "", inputs, {})


@pytest.mark.parametrize("shape", PLANES)
def test_squeeze_gate_body_is_the_operator(shape: tuple[int, ...]) -> None:
    expect(torch.ops.fovea.squeeze_gate, "", {"X": normal(*shape)}, {})


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


@pytest.mark.parametrize(("causal", "window"), [(0, 0), (1, 2)])
@pytest.mark.parametrize("form", MASK_FORMS)
@pytest.mark.parametrize(
    ("given", "overload"), [(("mask",), "masked"), (("bias",), "biased"), (("mask", "bias"), "masked_biased")]
)
def test_masked_multi_head_attention_body_is_the_operator(
    causal: int, window: int, form: str, given: tuple[str, ...], overload: str
) -> None:
    shape = (2, 3, 7, 9, 4)
    masks = {name: array for name, array in masks_of(form, shape).items() if name in given}
    settings = {"scale": 0.5, "causal": causal, "window": window}
    for name, maps in ((overload, False), (f"{overload}_maps", True)):
        expect(torch.ops.fovea.multi_head_attention, name, {**heads(shape), **masks}, settings, maps_too=maps)


@pytest.mark.parametrize("overload", ["masked_maps", "biased_maps"])
@pytest.mark.parametrize("shape", HEADS)
def test_masks_of_every_row_and_head_hold_at_awkward_sizes(overload: str, shape: tuple[int, ...]) -> None:
    name = "mask" if overload == "masked_maps" else "bias"
    inputs = {**heads(shape), name: masks_of("BHQK", shape)[name]}
    expect(torch.ops.fovea.multi_head_attention, overload, inputs, {"scale": 0.5, "causal": 1, "window": 0})


def test_a_query_that_may_attend_nothing_yields_zeros() -> None:
    inputs = {**heads((1, 2, 3, 4, 5)), "mask": np.zeros((1, 1, 3, 4), dtype=np.bool_)}
    settings = {"scale": 1.0, "causal": 0, "window": 0}
    for output in run(model_of("MultiHeadAttention", "masked_maps", inputs, settings), inputs):
        np.testing.assert_array_equal(output, np.zeros_like(output))


@pytest.mark.parametrize("overload", [overload for operator, overload in BODIES if operator == "MultiHeadAttention"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 0, 4), (0, 2, 3, 4, 5), (1, 2, 0, 0, 3)])
def test_without_keys_there_are_zeros(overload: str, shape: tuple[int, ...]) -> None:
    masks = masks_of("B11K", (*shape[:2], *shape[2:4]))
    given = {"mask": "masked" in overload, "bias": "biased" in overload}
    inputs = heads(shape) | {name: array for name, array in masks.items() if given[name]}
    settings = {"scale": 1.0, "causal": 0, "window": 2 if "window" in overload else 0}
    expect(torch.ops.fovea.multi_head_attention, overload, inputs, settings, maps_too="maps" in overload)


@pytest.mark.parametrize("overload", ["biased", "biased_maps"])
def test_a_row_of_the_lowest_number_is_attended_evenly(overload: str) -> None:
    lowest = np.finfo(np.float32).min
    bias = np.array([[-np.inf, lowest, lowest, lowest], [0.0, lowest, -np.inf, 0.0], [lowest] * 4], np.float32)
    inputs = {**heads((1, 2, 3, 4, 5)), "bias": bias[None, None]}
    settings = {"scale": 1.0, "causal": 0, "window": 0}
    expect(torch.ops.fovea.multi_head_attention, overload, inputs, settings, maps_too=overload == "biased_maps")


@pytest.mark.parametrize("overload", ["maps", "window_maps", "masked_maps", "biased_maps"])
def test_multi_head_attention_body_runs_in_half_precision(overload: str) -> None:
    inputs = {name: array.astype(np.float16) for name, array in heads((1, 2, 5, 5, 4)).items()}
    if overload == "masked_maps":
        inputs["mask"] = np.eye(5, dtype=np.bool_) | (np.arange(5) == 3)
    if overload == "biased_maps":
        inputs["bias"] = np.where(np.eye(5, dtype=np.bool_), 0.5, -np.inf).astype(np.float16)
    settings = {"scale": 0.5, "causal": 1, "window": 2 if overload == "window_maps" else 0}
    for output in run(model_of("MultiHeadAttention", overload, inputs, settings), inputs):
        assert output.dtype == np.float16
        assert np.isfinite(output).all()
