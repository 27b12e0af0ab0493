"""SimAM, a parameter-free attention module (Yang et al. 2021, PMLR 139:11863).

y = x · sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean over H, W)², n = H·W - 1; x and the weights (N, C, H, W).
Differs from the paper: a plane of one pixel counts n as 1, so that it does not divide by zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator


@operator("SimAM")
def simam(x: Tensor, lambda_: float) -> tuple[Tensor, Tensor]:
    """Weights = sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean)², n = H·W - 1, Y = x · Weights; both (N, C, H, W).

    A plane of one pixel has d = 0 and n = 0: n counts as 1 there, and the weight is sigmoid(1/2).
    """
    neighbours = max(x.shape[2] * x.shape[3] - 1, 1)
    deviation = (x - x.mean(dim=(2, 3), keepdim=True)).square()
    variance = deviation.sum(dim=(2, 3), keepdim=True) / neighbours
    weights = torch.sigmoid(deviation / (4 * (variance + lambda_)) + 0.5)
    return x * weights, weights


class SimAM(nn.Module):
    """Weighs every single neuron by how far it stands out of its plane: (N, C, H, W) -> the same shape."""

    def __init__(self, lambda_: float = 1e-4) -> None:
        super().__init__()
        self.lambda_ = lambda_

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, weights (N, C, H, W) in (0.6, 1))."""
        y, weights = torch.ops.fovea.simam(x, self.lambda_)
        return (y, weights) if return_attention else y
