"""Attention by Euclidean distance: Nadaraya-Watson regression with a Gaussian kernel (doi:10.1137/1109020).

score = -scale · |query - key|², P = softmax over keys, y = P value; scale = 1 / (2 bandwidth²);
queries (B, Tq, A), keys (B, Tk, A), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the paper: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import ScoredAttention, attend, require_fit


def distance_scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """-scale · |q - k|²: (B, Tq, A), (B, Tk, A) -> (B, Tq, Tk)."""
    return -scale * (q[:, :, None] - k[:, None]).square().sum(-1)  # (B, Tq, Tk, A) -> (B, Tq, Tk)


@operator("DistanceAttention")
def distance_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """score = -scale · |q - k|², P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, A), v (B, Tk, D), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    require_fit(q, k, v, mask)
    return attend(distance_scores(q, k, scale), v, mask)


class DistanceAttention(ScoredAttention):
    """Attends to what is near; nothing is learned. The default scale is a bandwidth of 1."""

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.scale = scale

    def extra_repr(self) -> str:
        """What tells one such module from another."""
        return f"scale={self.scale}"

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """-scale · |query - key|²."""
        return distance_scores(query, key, self.scale)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One `DistanceAttention` node."""
        y, attention = torch.ops.fovea.distance_attention(query, key, value, mask, self.scale)
        return y, attention


class CentralAttention(nn.Module):
    """The form without queries: element i scores -scale · Σ_j |x_i - x_j|², so that what lies among the others counts.

    The farther, the lower: an element far from the others gets little. The sum is n |x_i - mean of x|² and a constant,
    n being the number of allowed elements: attention by the distance from their mean, which costs no (T, T) matrix.
    """

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.scale = scale

    def forward(
        self, x: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x (B, T, D), `mask` boolean (B, T) -> y (B, 1, D), or (y, P (B, 1, T))."""
        allowed = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        shares = allowed[..., None].to(x.dtype)
        count = shares.sum(1, keepdim=True).clamp(min=1)  # (B, 1, 1)
        mean = (x * shares).sum(1, keepdim=True) / count
        root = count.sqrt()  # |√n q - √n k|² = n |q - k|²
        y, attention = torch.ops.fovea.distance_attention(root * mean, root * x, x, allowed[:, None], self.scale)
        return (y, attention) if return_attention else y
