"""Attention by Euclidean distance: Nadaraya-Watson regression with a Gaussian kernel (doi:10.1137/1109020).

score = -scale · |query - key|², P = softmax over keys, y = P value; scale = 1 / (2 bandwidth²);
queries (B, Tq, A), keys (B, Tk, A), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the paper: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import attend, full_mask, require_fit


@operator("DistanceAttention")
def distance_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """score = -scale · |q - k|², P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, A), v (B, Tk, D), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    require_fit(q, k, v, mask)
    scores = -scale * (q[:, :, None] - k[:, None]).square().sum(-1)  # (B, Tq, Tk, A) -> (B, Tq, Tk)
    return attend(scores, v, mask)


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
