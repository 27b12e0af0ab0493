"""Squeeze without excitation: the ablation of Squeeze-and-Excitation (Hu et al. 2018, arXiv:1709.01507).

gate = sigmoid(mean(x)), y = x · gate; x (N, C, H, W), gate (N, C).
Differs from the paper's block: nothing is learned between the pooled mean and the gate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator


@operator("SqueezeGate")
def squeeze_gate(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(mean(x)), Y = x · Gate; x (N, C, H, W) -> Y as x, Gate (N, C)."""
    gate = torch.sigmoid(x.mean(dim=(2, 3)))
    return x * gate[:, :, None, None], gate


class SqueezeOnly(nn.Module):
    """Weighs channels by their own mean: (N, C, H, W) -> the same shape, gate (N, C) in (0, 1)."""

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, gate)."""
        y, gate = torch.ops.fovea.squeeze_gate(x)
        return (y, gate) if return_attention else y
