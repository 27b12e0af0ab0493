"""CBAM, the convolutional block attention module (Woo et al. 2018, arXiv:1807.06521).

gate = sigmoid(mlp(mean(x)) + mlp(max(x))), z = x · gate,
map = sigmoid(conv kxk [mean over C of z; max over C of z]), y = z · map;
x (N, C, H, W), gate (N, C), map (N, 1, H, W).
Differs from the paper: at least 4 hidden units in the shared mlp.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.spatial import SpatialAttention, spatial_attention
from fovea.attention.squeeze_excitation import bottleneck, hidden_units


@operator("CBAM")
def cbam(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gate = sigmoid(mlp(mean(x)) + mlp(max(x))), then spatial attention on x · Gate; Y, Gate (N, C), Map (N, 1, H, W).

    mlp(p) = W2 relu(W1 p + b1) + b2 is the same for both pooled vectors, so b2 is added twice.
    """
    average = bottleneck(x.mean(dim=(2, 3)), w1, b1, w2, b2)
    largest = bottleneck(x.amax(dim=(2, 3)), w1, b1, w2, b2)
    gate = torch.sigmoid(average + largest)
    y, position_gate = spatial_attention(x * gate[:, :, None, None], w)
    return y, gate, position_gate


class CBAM(nn.Module):
    """Weighs channels, then positions: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = hidden_units(channels, reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)
        self.spatial = SpatialAttention(kernel_size)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """y, or (y, gate (N, C), map (N, 1, H, W))."""
        mlp = (self.squeeze.weight, self.squeeze.bias, self.excite.weight, self.excite.bias)
        y, gate, position_gate = torch.ops.fovea.cbam(x, *mlp, self.spatial.conv.weight)
        return (y, gate, position_gate) if return_attention else y
