"""Gating: every number passes by as much as a score says, which comes from the input itself: bottom-up attention.

gate = sigmoid(s), y = x · gate; x, s, y and the gate have one shape. What makes the scores stays outside the operator.
The block here is pixel attention (Zhao et al. 2020, arXiv:2010.01073): s = W x + b at every position, x (N, C, H, W).
With s and x as the two halves of one projection it is the gated linear unit (Dauphin et al. 2017, arXiv:1612.08083).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator


@operator("Gate")
def gate(x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(s), Y = x · Gate; x, s, Y and Gate of one shape."""
    if x.shape != s.shape:
        raise ValueError(f"x and its scores differ in shape: {list(x.shape)}, {list(s.shape)}")
    passed = torch.sigmoid(s)
    return x * passed, passed


class Gated(nn.Module):
    """Weighs every channel at every position by what lies there: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, gate (N, C, H, W) in (0, 1))."""
        y, passed = torch.ops.fovea.gate(x, self.score(x))
        return (y, passed) if return_attention else y
