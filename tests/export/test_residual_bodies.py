"""Bodies on feature maps and at the end of a residual branch, in every precision, against the torch operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.contract.operators import RESIDUAL_FORMS
from fovea.export.function_bodies import body_of
from fovea.export.translation import torch_operator
from kernel_cases import SETTINGS
from one_node import PLANES, coordinate_layers, halved, in_float64, mlp, model_of, normal, require_close, run
from torch_operators import OPERATOR_OF

Arrays = dict[str, NDArray[Any]]


def call(operator: str, shape: tuple[int, ...]) -> tuple[Arrays, dict[str, Any]]:
    """Inputs and attributes of the plain operator."""
    x, kernel = {"X": normal(*shape)}, {"W": normal(1, 2, 3, 3, seed=9)}
    inputs = {
        "SqueezeExcitation": {**x, **mlp(shape[1])},
        "SpatialAttention": {**x, **kernel},
        "CBAM": {**x, **mlp(shape[1]), **kernel},
        "Gate": {**x, "S": normal(*shape, seed=5)},
        "EfficientChannelAttention": {**x, "W": normal(1, 1, 3, seed=6)},
        "CoordinateAttention": {**x, **coordinate_layers(shape[1])},
    }
    return inputs.get(operator, x), SETTINGS.get(operator, {})


def expected(operator: str, inputs: Arrays, attributes: dict[str, Any]) -> list[Tensor]:
    """PyTorch's outputs in float64."""
    (name,) = (name for name, known in OPERATOR_OF.items() if known == operator)
    return list(torch_operator(name)(*in_float64(inputs), *attributes.values()))


@pytest.mark.parametrize("operator", RESIDUAL_FORMS)
@pytest.mark.parametrize("shape", PLANES)
@pytest.mark.parametrize("half", [False, True])
def test_residual_form_rectifies_the_sum_of_block_and_shortcut(
    operator: str, shape: tuple[int, ...], half: bool
) -> None:
    inputs, attributes = call(operator, shape)
    shortcut = {"R": normal(*shape, seed=4)}
    if half:
        inputs, shortcut = halved(inputs), halved(shortcut)
    block, *maps = expected(operator, inputs, attributes)
    form = RESIDUAL_FORMS[operator].name
    together = inputs | shortcut
    y = torch.relu(block + in_float64(shortcut)[0])
    require_close(run(model_of(form, "", together, attributes), together), [y, *maps])


@pytest.mark.parametrize("operator", RESIDUAL_FORMS)
def test_plain_form_runs_in_half_precision(operator: str) -> None:
    inputs, attributes = call(operator, (2, 3, 5, 7))
    actual = run(model_of(operator, "", halved(inputs), attributes), halved(inputs))
    assert {output.dtype for output in actual} == {np.dtype(np.float16)}
    require_close(actual, expected(operator, halved(inputs), attributes))


@pytest.mark.parametrize("operator", RESIDUAL_FORMS)
def test_residual_form_adds_a_sum_and_a_relu_to_the_plain_form_and_nothing_else(operator: str) -> None:
    plain, residual = body_of(operator), body_of(RESIDUAL_FORMS[operator].name)
    assert [node.op_type for node in residual.node] == [*(node.op_type for node in plain.node), "Add", "Relu"]
    assert list(residual.input) == [*plain.input, "R"]
    assert residual.output == plain.output
