"""Self-attention with one or many heads (Vaswani et al. 2017, arXiv:1706.03762).

P = softmax(q kᵀ / √d over the allowed keys), y = concat over heads (P v) Wo;
x (B, T, D), P (B, heads, T, T), d = D / heads.
Differs from the paper: the three projections are one matrix product; a query that may attend nothing yields zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import attend


@operator("MultiHeadAttention")
def multi_head_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool, window: int
) -> tuple[Tensor, Tensor]:
    """P = softmax(scale · q kᵀ over the allowed keys), Y = P v.

    q (B, H, Tq, d), k and v (B, H, Tk, d), mask boolean, broadcastable to (B, H, Tq, Tk), True = may be attended
    -> Y (B, H, Tq, d), P (B, H, Tq, Tk). `causal` allows key j to query i where j <= i; `window` > 0 where
    |i - j| <= window. A query that may attend nothing has P = 0 and Y = 0.
    """
    scores = q @ k.transpose(-2, -1) * scale
    return attend(scores, v, _allowed_keys(scores, mask, causal, window))


def _allowed_keys(scores: Tensor, mask: Tensor | None, causal: bool, window: int) -> Tensor | None:
    """Mask, causality and window as one boolean tensor; None where every key may be attended."""
    query = torch.arange(scores.shape[-2], device=scores.device)[:, None]
    key = torch.arange(scores.shape[-1], device=scores.device)[None, :]
    conditions = [mask] if mask is not None else []
    if causal:
        conditions.append(key <= query)
    if window > 0:
        conditions.append((query - key).abs() <= window)
    allowed: Tensor | None = None
    for condition in conditions:
        allowed = condition if allowed is None else allowed & condition
    return allowed


class MultiHeadAttention(nn.Module):
    """Q, K and V from one sequence: (B, T, D) -> (B, T, D).

    `causal` hides later positions; `window` > 0 hides those further away than that many steps.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, window: int = 0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.heads, self.causal, self.window = heads, causal, window
        self.scale = (width // heads) ** -0.5
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, P (B, heads, T, T)). `mask`: boolean, broadcastable to P, True = may be attended."""
        q, k, v = self.split_heads(self.project_in(x))
        y, attention = torch.ops.fovea.multi_head_attention(q, k, v, mask, self.scale, self.causal, self.window)
        y = self.project_out(y.transpose(1, 2).flatten(2))  # (B, T, D)
        return (y, attention) if return_attention else y

    def split_heads(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 3·D) -> q, k, v, each (B, heads, T, d)."""
        rows, tokens, width = projected.shape
        q, k, v = (
            projected.reshape(rows, tokens, 3, self.heads, width // (3 * self.heads)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        return q, k, v


class SelfAttention(MultiHeadAttention):
    """Self-attention in its plain form: one head."""

    def __init__(self, width: int, *, causal: bool = False, window: int = 0) -> None:
        super().__init__(width, 1, causal=causal, window=window)
