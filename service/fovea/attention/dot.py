"""Dot-product attention, plain (Luong et al. 2015, arXiv:1508.04025) or scaled (Vaswani et al. 2017, arXiv:1706.03762).

score = query · key, scaled: / √A; P = softmax over keys, y = P value;
queries (B, Tq, A), keys (B, Tk, A), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the papers: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import ScoredAttention, attend, require_fit


def dot_scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """scale · q·k: (B, Tq, A), (B, Tk, A) -> (B, Tq, Tk)."""
    return scale * (q @ k.transpose(1, 2))


@operator("DotAttention")
def dot_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """score = scale · q·k, P = softmax over keys, Y = P v.

    q (B, Tq, A), k (B, Tk, A), v (B, Tk, D), mask boolean (B, Tq, Tk) -> Y (B, Tq, D), P (B, Tq, Tk).
    """
    require_fit(q, k, v, mask)
    return attend(dot_scores(q, k, scale), v, mask)


class DotAttention(ScoredAttention):
    """Attends to keys that point where the query points; nothing is learned."""

    def scale(self, width: int) -> float:  # noqa: ARG002
        """What products of vectors this wide are multiplied by."""
        return 1.0

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """scale · query · key."""
        return dot_scores(query, key, self.scale(query.shape[-1]))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One `DotAttention` node."""
        y, attention = torch.ops.fovea.dot_attention(query, key, value, mask, self.scale(query.shape[-1]))
        return y, attention


class ScaledDotAttention(DotAttention):
    """The same with the variance of the width taken out, so that wide vectors do not saturate the softmax."""

    def scale(self, width: int) -> float:
        """1 / √width."""
        return float(width**-0.5)


class PlainSelfAttention(nn.Module):
    """Self-attention in its simplest form, Q = K = V = x without parameters: softmax(x xᵀ / √D) x; (B, T, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.score = ScaledDotAttention()

    def forward(
        self, x: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, P (B, T, T)). `mask`: boolean, broadcastable to P, True = may be attended."""
        found: Tensor | tuple[Tensor, Tensor] = self.score(x, x, x, mask, return_attention)
        return found
