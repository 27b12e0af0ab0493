"""Attention by Euclidean distance: Nadaraya-Watson regression with a Gaussian kernel (doi:10.1137/1109020).

score = -scale · |query - key|², P = softmax over keys, y = P value; scale = 1 / (2 bandwidth²);
queries (B, Tq, A), keys (B, Tk, A), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the paper: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention import operators as operators
from fovea.attention.masks import full_mask


class DistanceAttention(nn.Module):
    """Attends to what is near; nothing is learned. The default scale is a bandwidth of 1."""

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.scale = scale

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, P). `mask`: boolean, broadcastable to P, True = may be attended."""
        y, attention = torch.ops.fovea.distance_attention(query, key, value, full_mask(mask, query, key), self.scale)
        return (y, attention) if return_attention else y
