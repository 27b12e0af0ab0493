"""Additive attention (Bahdanau et al. 2015, arXiv:1409.0473).

score = v · tanh(W key + U query), P = softmax over keys, y = P value;
queries (B, Tq, ·), keys (B, Tk, ·), values (B, Tk, D), y (B, Tq, D), P (B, Tq, Tk).
Differs from the paper: a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import ScoredAttention, attend, require_fit


def additive_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Σ_a v[a] tanh(q[a] + k[a]): (B, Tq, A), (B, Tk, A), (A) -> (B, Tq, Tk)."""
    return torch.tanh(q[:, :, None] + k[:, None]) @ v  # (B, Tq, Tk, A) -> (B, Tq, Tk)


@operator("AdditiveAttention")
def additive_attention(q: Tensor, k: Tensor, value: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """score = Σ_a v[a] tanh(q[a] + k[a]), P = softmax over keys, Y = P value.

    q (B, Tq, A) and k (B, Tk, A) projected, value (B, Tk, D), v (A), mask boolean (B, Tq, Tk), True = may be attended
    -> Y (B, Tq, D), P (B, Tq, Tk). A query that may attend nothing has P = 0 and Y = 0.
    """
    require_fit(q, k, value, mask)
    return attend(additive_scores(q, k, v), value, mask)


class AdditiveAttention(ScoredAttention):
    """Scores keys by a small network of one hidden layer, `hidden` wide; neither projection has a bias."""

    def __init__(self, query_width: int, key_width: int, hidden: int) -> None:
        super().__init__()
        self.project_query = nn.Linear(query_width, hidden, bias=False)
        self.project_key = nn.Linear(key_width, hidden, bias=False)
        self.v = nn.Parameter(torch.empty(hidden))
        nn.init.normal_(self.v, std=hidden**-0.5)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """v · tanh(W key + U query)."""
        return additive_scores(self.project_query(query), self.project_key(key), self.v)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One `AdditiveAttention` node."""
        q, k = self.project_query(query), self.project_key(key)  # (B, Tq, hidden), (B, Tk, hidden)
        y, attention = torch.ops.fovea.additive_attention(q, k, value, self.v, mask)
        return y, attention
