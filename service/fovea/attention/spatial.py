"""The spatial half of CBAM (Woo et al. 2018, arXiv:1807.06521).

map = sigmoid(conv kxk [mean over C; max over C]), y = x · map; x (N, C, H, W), map (N, 1, H, W).
Differs from the authors' code: no batch normalisation after the convolution, as in the paper's formula.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator


@operator("SpatialAttention")
def spatial_attention(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Map = sigmoid(conv([mean over C; max over C])), Y = x · Map.

    x (N, C, H, W), w (1, 2, k, k), k odd -> Y as x, Map (N, 1, H, W).
    """
    pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (N, 2, H, W)
    gate = torch.sigmoid(F.conv2d(pooled, w, padding=w.shape[-1] // 2))  # (N, 1, H, W)
    return x * gate, gate


class SpatialAttention(nn.Module):
    """Weighs positions: (N, C, H, W) -> the same shape, map (N, 1, H, W) in (0, 1). The kernel size is odd."""

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"the kernel size must be odd, got {kernel_size}")
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, map)."""
        y, position_gate = torch.ops.fovea.spatial_attention(x, self.conv.weight)
        return (y, position_gate) if return_attention else y
