"""Self- and multi-head attention against torch's own implementation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fovea.attention.multi_head import MultiHeadAttention, SelfAttention


def _tokens(rows: int = 2, tokens: int = 11, width: int = 12) -> Tensor:
    return torch.randn(rows, tokens, width, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def _with_weights_of(ours: MultiHeadAttention, heads: int) -> nn.MultiheadAttention:
    peer = nn.MultiheadAttention(12, heads, batch_first=True).double()
    with torch.no_grad():
        peer.in_proj_weight.copy_(ours.project_in.weight)
        peer.in_proj_bias.copy_(ours.project_in.bias)
        peer.out_proj.weight.copy_(ours.project_out.weight)
        peer.out_proj.bias.copy_(ours.project_out.bias)
    return peer


@pytest.mark.parametrize("heads", [1, 2, 3, 12])
def test_multi_head_attention_agrees_with_torch(heads: int) -> None:
    x, ours = _tokens(), MultiHeadAttention(12, heads).double()
    expected, weights = _with_weights_of(ours, heads)(x, x, x, average_attn_weights=False)
    y, attention = ours(x, return_attention=True)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(attention, weights)


@pytest.mark.parametrize(("causal", "window"), [(True, 0), (False, 2), (True, 3)])
def test_causal_and_local_attention_agree_with_torch_under_a_mask(causal: bool, window: int) -> None:
    x, ours = _tokens(), MultiHeadAttention(12, 3, causal=causal, window=window).double()
    hidden = torch.tensor(
        [
            [(causal and key > query) or (window > 0 and abs(query - key) > window) for key in range(11)]
            for query in range(11)
        ]
    )
    expected, _ = _with_weights_of(ours, 3)(x, x, x, attn_mask=hidden)
    torch.testing.assert_close(ours(x), expected)


def test_a_padding_mask_agrees_with_torch() -> None:
    x, ours = _tokens(), MultiHeadAttention(12, 3).double()
    visible = torch.arange(11)[None, :] < torch.tensor([4, 11])[:, None]
    expected, _ = _with_weights_of(ours, 3)(x, x, x, key_padding_mask=~visible)
    torch.testing.assert_close(ours(x, visible[:, None, None, :]), expected)


def test_a_query_that_may_attend_nothing_yields_zeros() -> None:
    q = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    y, attention = torch.ops.fovea.multi_head_attention(q, q, q, mask, None, 0.5, False, 0)
    y.sum().backward()
    assert y[:, :, 1].abs().max() == 0
    assert attention[:, :, 1].abs().max() == 0
    assert q.grad is not None
    assert q.grad.isfinite().all()


def test_self_attention_is_one_head() -> None:
    _, attention = SelfAttention(12).double()(_tokens(), return_attention=True)
    assert attention.shape == (2, 1, 11, 11)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 1, 11, dtype=torch.float64))


@pytest.mark.parametrize("tokens", [1, 2, 13])
def test_short_and_prime_sequences_keep_their_shape(tokens: int) -> None:
    x = _tokens(tokens=tokens)
    assert MultiHeadAttention(12, 4).double()(x).shape == x.shape


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="width 12 is not a multiple of 5 heads"):
        MultiHeadAttention(12, 5)
