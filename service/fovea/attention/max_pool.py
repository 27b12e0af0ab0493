"""Max pooling as attention: in every window of a plane the winner takes all; nothing is learned.

mask = 1 where x is the maximum of its window, else 0; y = x · mask; x, y and the mask (N, C, H, W).
Windows of size x size lie side by side, as pooling with that stride has them; those at the end may be smaller.
Differs from pooling: what is passed stays where it was, so that the shape does too. Equal maxima of a window all pass;
NaN counts as infinity, so that it passes too; where mask = 0, y is 0, whatever x is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator


@operator("MaxPoolAttention")
def max_pool_attention(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mask = 1 where x is the maximum of its window of size x size, Y = x there, else 0; both (N, C, H, W)."""
    rows, channels, height, width = x.shape
    ordered = x.masked_fill(x.isnan(), float("inf"))
    lines, columns = -(-height // size), -(-width // size)
    filled = F.pad(ordered, (0, columns * size - width, 0, lines * size - height), value=float("-inf"))
    windows = filled.reshape(rows, channels, lines, size, columns, size)
    winners = (windows == windows.amax(dim=(3, 5), keepdim=True)).reshape(filled.shape)[:, :, :height, :width]
    return x.masked_fill(~winners, 0), winners.to(x.dtype)


class MaxPoolAttention(nn.Module):
    """Passes the maximum of every window of a plane, and nothing else: (N, C, H, W) -> the same shape."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a window has at least one pixel a side, got {size}")
        self.size = size

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, mask (N, C, H, W) of zeros and ones)."""
        y, mask = torch.ops.fovea.max_pool_attention(x, self.size)
        return (y, mask) if return_attention else y
