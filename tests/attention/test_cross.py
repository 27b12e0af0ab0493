"""Cross-attention against torch's own, with two lengths and two widths."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fovea.attention.cross import CrossAttention


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_torchs_attention_with_keys_and_values_of_another_sequence(heads: int, masked: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = CrossAttention(8, 6, heads), nn.MultiheadAttention(8, heads, kdim=6, vdim=6, batch_first=True)
    x, memory = torch.randn(3, 5, 8), torch.randn(3, 9, 6)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.project_query.weight)
        theirs.k_proj_weight.copy_(ours.project_memory.weight[:8])
        theirs.v_proj_weight.copy_(ours.project_memory.weight[8:])
        theirs.in_proj_bias.copy_(torch.cat([ours.project_query.bias, ours.project_memory.bias]))
        theirs.out_proj.weight.copy_(ours.project_out.weight)
        theirs.out_proj.bias.copy_(ours.project_out.bias)
    open_keys = torch.arange(9) < torch.tensor([9, 4, 1])[:, None] if masked else torch.ones(3, 9, dtype=torch.bool)
    expected, shares = theirs(x, memory, memory, ~open_keys, average_attn_weights=False)
    y, found = ours(x, memory, open_keys[:, None, None] if masked else None, return_attention=True)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(found, shares)


def test_a_width_that_its_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="width 8 is not a multiple of 3 heads"):
        CrossAttention(8, 6, 3)
