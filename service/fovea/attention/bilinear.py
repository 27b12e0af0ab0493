"""Bilinear attention, the `general` score of Luong et al. 2015, arXiv:1508.04025.

score = queryᵀ W key, P = softmax over keys, y = P value;
queries (B, Tq, A), keys (B, Tk, E), W (A, E), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the paper: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.dot import dot_scores
from fovea.attention.registration import operator
from fovea.attention.scores import ScoredAttention, attend, require_fit


@operator("BilinearAttention")
def bilinear_attention(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """score = scale · qᵀ W k, P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, E), v (B, Tk, D), w (A, E), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    projected = q @ w  # (B, Tq, E)
    require_fit(projected, k, v, mask)
    return attend(dot_scores(projected, k, scale), v, mask)


class BilinearAttention(ScoredAttention):
    """Compares queries with keys of another space through one learned matrix. `scale` multiplies the scores."""

    def __init__(self, query_width: int, key_width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(query_width, key_width))
        self.scale = scale
        nn.init.normal_(self.weight, std=(query_width * key_width) ** -0.5)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """scale · queryᵀ W key."""
        return dot_scores(query @ self.weight, key, self.scale)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One `BilinearAttention` node."""
        y, attention = torch.ops.fovea.bilinear_attention(query, key, value, self.weight, mask, self.scale)
        return y, attention
