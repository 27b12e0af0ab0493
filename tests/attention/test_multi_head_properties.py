"""Multi-head attention over shapes, masks and options: against torch's own in float64, and against itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import fovea.attention.multi_head  # noqa: F401  (the operator)

LENGTHS = some.integers(1, 9)


def heads(queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(31 * queries + keys)
    sizes = (queries, 4), (keys, 4), (keys, 3)
    q, k, v = (torch.randn(2, 3, *size, dtype=torch.float64, generator=generator) for size in sizes)
    return q, k, v


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    window: int = 0,
) -> tuple[Tensor, Tensor]:
    y, p = torch.ops.fovea.multi_head_attention(q, k, v, mask, bias, 0.5, causal, window)
    return y, p


@given(LENGTHS, LENGTHS, some.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_window_as_long_as_the_sequences_is_global(queries: int, keys: int, beyond: int) -> None:
    tensors = heads(queries, keys)
    torch.testing.assert_close(attend(*tensors, window=max(queries, keys) + beyond), attend(*tensors))


@given(LENGTHS, LENGTHS)
@settings(max_examples=25, deadline=None)
def test_causal_is_a_triangular_mask_and_torchs_own_also_where_lengths_differ(queries: int, keys: int) -> None:
    q, k, v = heads(queries, keys)
    triangle = torch.ones(queries, keys, dtype=torch.bool).tril()
    torch.testing.assert_close(attend(q, k, v, causal=True), attend(q, k, v, mask=triangle))
    torch.testing.assert_close(
        attend(q, k, v, causal=True)[0], scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5)
    )


@pytest.mark.parametrize("form", ["B11K", "BH1K", "B1QK", "BHQK", "QK"])
@given(LENGTHS, LENGTHS, some.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_masks_of_both_types_are_torchs_and_rows_without_an_open_key_are_zeros(
    form: str, queries: int, keys: int, seed: int
) -> None:
    q, k, v = heads(queries, keys)
    sizes = {"B": 2, "H": 3, "Q": queries, "K": keys, "1": 1}
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand([sizes[axis] for axis in form], generator=generator) < 0.5
    bias = torch.randn(mask.shape, dtype=torch.float64, generator=generator)
    nothing = ~mask.expand(2, 3, queries, keys).any(-1, keepdim=True)
    for ours, theirs in (({"mask": mask}, mask), ({"bias": bias.masked_fill(~mask, -torch.inf)}, None)):
        torchs = ours["bias"] if theirs is None else theirs
        expected = scaled_dot_product_attention(q, k, v, attn_mask=torchs, scale=0.5)
        y, p = attend(q, k, v, **ours)
        torch.testing.assert_close(y, expected.masked_fill(nothing, 0.0))
        assert (p * ~mask == 0).all()


@pytest.mark.parametrize("closed", [0, 2])
def test_a_row_of_the_lowest_number_is_attended_evenly_beside_closed_keys(closed: int) -> None:
    q, k, v = (tensor.float() for tensor in heads(3, 5))
    bias = torch.full((1, 1, 3, 5), torch.finfo(torch.float32).min)
    bias[..., :closed] = -torch.inf
    y, p = attend(q, k, v, bias=bias)
    torch.testing.assert_close(p[..., closed:], torch.full_like(p[..., closed:], 1 / (5 - closed)))
    torch.testing.assert_close(y, v[..., closed:, :].mean(-2, keepdim=True).expand_as(y))
