"""The torch operators: gradients, shapes while tracing, agreement with the contract, and inputs at the edge."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torch_operators import OPERATOR_OF


def _random(*shape: int) -> Tensor:
    """Float64 values in a fixed order, no two alike, so that every maximum is clear."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def _bottleneck(channels: int, hidden: int = 4) -> tuple[Tensor, ...]:
    return _random(hidden, channels), _random(hidden), _random(channels, hidden), _random(channels)


def _feature_map_calls(shape: tuple[int, int, int, int]) -> dict[str, tuple[object, ...]]:
    x, mlp, kernel = _random(*shape), _bottleneck(shape[1]), _random(1, 2, 3, 3)
    back = (_random(shape[1], 4), _random(shape[1]))
    return {
        "squeeze_excitation": (x, *mlp, "silu", 0.2),
        "gate": (x, x.flip(3) + 0.1),
        "max_pool_attention": (x, 2),
        "efficient_channel_attention": (x, _random(1, 1, 3)),
        "coordinate_attention": (x, *mlp[:2], *back, *back),
        "squeeze_gate": (x,),
        "spatial_attention": (x, kernel),
        "cbam": (x, *mlp, kernel),
        "simam": (x, 1e-4),
    }


def _token_calls(rows: int, tokens: int, width: int) -> dict[str, tuple[object, ...]]:
    q, k, v = (_random(rows, 2, tokens, width) + shift for shift in (0.0, 0.1, 0.2))
    mask = torch.rand(tokens, tokens, generator=torch.Generator().manual_seed(1)) > 0.4
    return {
        "external_attention": (_random(rows, tokens, width), _random(5, width), _random(5, width), 1e-9),
        "multi_head_attention": (q, k, v, mask, _random(tokens, tokens), 0.5, False, 0),
    }


def _score_calls(rows: int, queries: int, keys: int) -> dict[str, tuple[object, ...]]:
    q, k, v = _random(rows, queries, 4), _random(rows, keys, 4) + 0.1, _random(rows, keys, 2)
    mask = torch.rand(rows, queries, keys, generator=torch.Generator().manual_seed(2)) > 0.4
    return {
        "additive_attention": (q, k, v, _random(4), mask),
        "distance_attention": (q, k, v, mask, 0.5),
        "dot_attention": (q, k, v, None, 0.5),
        "bilinear_attention": (q, k, v, _random(4, 4), mask, 1.0),
        "hard_argmax_attention": (_random(rows, queries, keys), v, mask),
        "hard_sample_attention": (_random(rows, queries, keys), v, torch.arange(rows) - 1, mask),
    }


def _calls() -> dict[str, tuple[object, ...]]:
    return _feature_map_calls((2, 3, 4, 5)) | _token_calls(2, 3, 4) | _score_calls(2, 3, 5)


NAMES = [name.removeprefix("fovea::") for name in OPERATOR_OF]


def _operator(name: str) -> torch._ops.OpOverloadPacket:
    return getattr(torch.ops.fovea, name)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    arguments = [
        value.requires_grad_() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in _calls()[name]
    ]
    assert torch.autograd.gradcheck(_operator(name), arguments)


@pytest.mark.parametrize("name", NAMES)
def test_tracing_sees_the_shapes_and_gradients_that_running_gives(name: str) -> None:
    arguments = [
        value.requires_grad_() if isinstance(value, Tensor) and value.is_floating_point() else value
        for value in _calls()[name]
    ]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    assert set(torch.library.opcheck(_operator(name), tuple(arguments), test_utils=checks).values()) == {"SUCCESS"}


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_close_to_float64(name: str) -> None:
    exact = _calls()[name]
    single = [v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in exact]
    for wide, narrow in zip(_operator(name)(*exact), _operator(name)(*single), strict=True):
        torch.testing.assert_close(narrow, wide.float() if wide.is_floating_point() else wide, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 7, 7), (3, 5, 1, 1), (1, 7, 13, 11), (2, 17, 3, 1)])
@pytest.mark.parametrize("name", list(_feature_map_calls((1, 1, 1, 1))))
def test_feature_maps_of_awkward_size_give_finite_values_of_the_same_shape(
    name: str, shape: tuple[int, int, int, int]
) -> None:
    outputs = _operator(name)(*_feature_map_calls(shape)[name])
    assert outputs[0].shape == shape
    assert all(output.isfinite().all() for output in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_gives_an_empty_answer(name: str) -> None:
    calls = _feature_map_calls((0, 3, 4, 5)) | _token_calls(0, 3, 4) | _score_calls(0, 3, 5)
    assert all(output.shape[0] == 0 for output in _operator(name)(*calls[name]))


def test_no_gradient_is_asked_of_inputs_that_need_none() -> None:
    x = _random(2, 3, 4, 5).requires_grad_()
    kernel = _random(1, 2, 3, 3)
    torch.ops.fovea.spatial_attention(x, kernel)[0].sum().backward()
    assert x.grad is not None
    assert kernel.grad is None


def test_a_loss_on_the_attention_map_reaches_the_weights() -> None:
    kernel = _random(1, 2, 3, 3).requires_grad_()
    torch.ops.fovea.spatial_attention(_random(2, 3, 4, 5), kernel)[1].sum().backward()
    assert kernel.grad is not None
    assert kernel.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_in_mixed_precision_attention_is_still_computed_in_float32(name: str) -> None:
    single = [v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in _calls()[name]]
    coarse = [v.bfloat16() if isinstance(v, Tensor) and v.is_floating_point() else v for v in single]
    rounded = [v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in coarse]
    with torch.autocast("cpu", torch.bfloat16):
        outputs = _operator(name)(*coarse)
    for output, expected in zip(outputs, _operator(name)(*rounded), strict=True):
        torch.testing.assert_close(output, expected)
