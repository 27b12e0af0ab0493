"""SimAM, a parameter-free attention module (Yang et al. 2021, PMLR 139:11863).

y = x · sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean over H, W)², n = H·W - 1; x and the weights (N, C, H, W).
Differs from the paper: a plane of one pixel counts n as 1, so that it does not divide by zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention import operators as operators


class SimAM(nn.Module):
    """Weighs every single neuron by how far it stands out of its plane: (N, C, H, W) -> the same shape."""

    def __init__(self, lambda_: float = 1e-4) -> None:
        super().__init__()
        self.lambda_ = lambda_

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, weights (N, C, H, W) in (0.6, 1))."""
        y, weights = torch.ops.fovea.simam(x, self.lambda_)
        return (y, weights) if return_attention else y
