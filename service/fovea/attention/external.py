"""External Attention (Guo et al. 2021, arXiv:2105.02358).

A = l1 over slots (softmax over tokens (x Mkᵀ)), y = A Mv; x (B, T, D), Mk and Mv (S, D), A (B, T, S).
As in the paper's block for feature maps, the input is added back to what the memories give. Differs from it: no
convolutions before and after; the network around has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator


@operator("ExternalAttention")
def external_attention(x: Tensor, mk: Tensor, mv: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """A = softmax over tokens of x Mkᵀ, then divided by (ε + its sum over slots); Y = A Mv.

    x (B, T, D), mk and mv (S, D) -> Y (B, T, D), A (B, T, S).
    """
    over_tokens = torch.softmax(x @ mk.t(), dim=1)  # (B, T, S)
    attention = over_tokens / (over_tokens.sum(dim=2, keepdim=True) + epsilon)
    return attention @ mv, attention


class ExternalAttention(nn.Module):
    """Two learned memories, shared by all inputs, with double normalisation: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, slots: int = 64, epsilon: float = 1e-9) -> None:
        super().__init__()
        self.memory_key = nn.Parameter(torch.empty(slots, width))
        self.memory_value = nn.Parameter(torch.empty(slots, width))
        self.epsilon = epsilon
        nn.init.normal_(self.memory_key, std=width**-0.5)
        nn.init.normal_(self.memory_value, std=slots**-0.5)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, A (B, T, S))."""
        y, attention = torch.ops.fovea.external_attention(x, self.memory_key, self.memory_value, self.epsilon)
        return (y, attention) if return_attention else y


class ExternalAttentionMap(nn.Module):
    """External attention over the positions of a feature map, plus the map itself: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int, slots: int = 64) -> None:
        super().__init__()
        self.tokens = ExternalAttention(channels, slots)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, A (N, H·W, S))."""
        rows, channels, height, width = x.shape
        remembered, attention = self.tokens(x.flatten(2).transpose(1, 2), return_attention=True)  # (N, H·W, C)
        y = x + remembered.transpose(1, 2).reshape(rows, channels, height, width)
        return (y, attention) if return_attention else y
