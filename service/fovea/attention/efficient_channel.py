"""Efficient channel attention, ECA (Wang et al. 2020, arXiv:1910.03151).

gate = sigmoid(conv k across the channels of mean(x)), y = x · gate; x (N, C, H, W), gate (N, C).
By the paper's rule k is the odd number nearest to (log2 C + 1) / 2; no bias, zeros beyond the first and last channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator


def kernel_size_of(channels: int, gamma: int = 2, b: int = 1) -> int:
    """k = |log2(C) + b| / gamma, made odd as the authors' code does: cut to a whole number, then one more if even."""
    size = int(abs(math.log2(channels) + b) / gamma)
    return size if size % 2 else size + 1


@operator("EfficientChannelAttention")
def efficient_channel_attention(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Gate = sigmoid(conv(mean(x)) across channels), Y = x · Gate.

    x (N, C, H, W), w (1, 1, k), k odd -> Y as x, Gate (N, C).
    """
    pooled = x.mean(dim=(2, 3))[:, None]  # (N, 1, C)
    gate = torch.sigmoid(F.conv1d(pooled, w, padding=w.shape[-1] // 2))[:, 0]
    return x * gate[:, :, None, None], gate


class EfficientChannelAttention(nn.Module):
    """Weighs channels by their own mean and their neighbours': (N, C, H, W) -> the same shape. The kernel is odd."""

    def __init__(self, channels: int, kernel_size: int | None = None) -> None:
        super().__init__()
        size = kernel_size_of(channels) if kernel_size is None else kernel_size
        if size % 2 == 0:
            raise ValueError(f"the kernel size must be odd, got {size}")
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, gate (N, C) in (0, 1))."""
        y, gate = torch.ops.fovea.efficient_channel_attention(x, self.conv.weight)
        return (y, gate) if return_attention else y
