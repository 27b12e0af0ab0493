"""Squeeze-and-Excitation (Hu et al. 2018, arXiv:1709.01507).

gate = sigmoid(W2 relu(W1 mean(x) + b1) + b2), y = x · gate; x (N, C, H, W), gate (N, C).
Differs from the paper: the bottleneck keeps at least 4 hidden units, so that narrow networks can still gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator


def hidden_units(channels: int, reduction: int) -> int:
    """Width of the bottleneck: channels / reduction, at least 4."""
    return max(channels // reduction, 4)


def bottleneck(pooled: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """W2 relu(W1 pooled + b1) + b2: (N, C) -> (N, C/r) -> (N, C)."""
    return F.linear(F.relu(F.linear(pooled, w1, b1)), w2, b2)


@operator("SqueezeExcitation")
def squeeze_excitation(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(W2 relu(W1 mean(x) + b1) + b2), Y = x · Gate.

    x (N, C, H, W), w1 (C/r, C), w2 (C, C/r) -> Y as x, Gate (N, C).
    """
    gate = torch.sigmoid(bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2))
    return x * gate[:, :, None, None], gate


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole plane holds: (N, C, H, W) -> the same shape, gate (N, C) in (0, 1)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = hidden_units(channels, reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, gate)."""
        y, gate = torch.ops.fovea.squeeze_excitation(
            x, self.squeeze.weight, self.squeeze.bias, self.excite.weight, self.excite.bias
        )
        return (y, gate) if return_attention else y
