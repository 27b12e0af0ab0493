"""Squeeze-and-Excitation (Hu et al. 2018, arXiv:1709.01507).

gate = sigmoid(W2 relu(W1 mean(x) + b1) + b2), y = x · gate; x (N, C, H, W), gate (N, C).
Differs from the paper: the bottleneck keeps at least 4 hidden units, so that narrow networks can still gate. The
operator has what others made of it as well: no biases, SiLU or hard-swish in the middle, a hard sigmoid as the gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator

LEAST_HIDDEN = 4
ACTIVATIONS = {"relu": F.relu, "silu": F.silu, "hard_swish": F.hardswish}
"""Between the two layers."""


def hidden_units(channels: int, reduction: int, least: int = LEAST_HIDDEN) -> int:
    """Width of the bottleneck: channels / reduction, but at least `least`."""
    return max(channels // reduction, least)


def bottleneck(
    pooled: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, activation: str = "relu"
) -> Tensor:
    """W2 activation(W1 pooled + b1) + b2: (N, C) -> (N, C/r) -> (N, C)."""
    return F.linear(ACTIVATIONS[activation](F.linear(pooled, w1, b1)), w2, b2)


@operator("SqueezeExcitation")
def squeeze_excitation(
    x: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, activation: str, slope: float
) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(W2 activation(W1 mean(x) + b1) + b2), Y = x · Gate; without a bias where that is None.

    x (N, C, H, W), w1 (C/r, C), w2 (C, C/r) -> Y as x, Gate (N, C). A `slope` above 0 makes the sigmoid a hard one, a
    line of that slope through 1/2 between 0 and 1.
    """
    scores = bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2, activation)
    gate = (slope * scores + 0.5).clamp(0, 1) if slope > 0 else torch.sigmoid(scores)
    return x * gate[:, :, None, None], gate


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole plane holds: (N, C, H, W) -> the same shape, gate (N, C) in [0, 1].

    `activation` and `slope`: as the operator has them; MobileNetV3 has a slope of 1/6.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        least_hidden: int = LEAST_HIDDEN,
        activation: str = "relu",
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"no activation {activation}; there are: {', '.join(ACTIVATIONS)}")
        hidden = hidden_units(channels, reduction, least_hidden)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)
        self.activation, self.slope = activation, slope

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, gate)."""
        layers = (self.squeeze.weight, self.squeeze.bias, self.excite.weight, self.excite.bias)
        y, gate = torch.ops.fovea.squeeze_excitation(x, *layers, self.activation, self.slope)
        return (y, gate) if return_attention else y
