"""Self-attention with one or many heads (Vaswani et al. 2017, arXiv:1706.03762).

P = softmax(q kᵀ / √d over the allowed keys), y = concat over heads (P v) Wo;
x (B, T, D), P (B, heads, T, T), d = D / heads.
Differs from the paper: the three projections are one matrix product; a query that may attend nothing yields zeros.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from fovea.attention.registration import operator
from fovea.attention.scores import attend


@operator("MultiHeadAttention")
def multi_head_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    scale: float,
    causal: bool,
    window: int,
) -> tuple[Tensor, Tensor]:
    """P = softmax(scale · q kᵀ + bias over the open keys), Y = P v.

    q (B, H, Tq, d), k (B, H, Tk, d), v (B, H, Tk, dv), mask boolean, True = open, bias floating-point, -inf = closed,
    both broadcastable to (B, H, Tq, Tk) -> Y (B, H, Tq, dv), P (B, H, Tq, Tk). `causal` opens key j to query i where
    j <= i, both counted from the first, whatever Tq and Tk (as torch's `is_causal`, and ONNX's, has it); `window` > 0
    where |i - j| <= window. A query that no key is open to has P = 0 and Y = 0.
    """
    scores = q @ k.transpose(-2, -1) * scale
    conditions = [] if mask is None else [mask]
    if bias is not None:
        conditions.append(bias > -torch.inf)
        scores = scores + bias.clamp(min=torch.finfo(scores.dtype).min / 2)  # stays above what closed keys are given
    return attend(scores, v, _all_of([*conditions, *_positions(scores, causal, window)]))


def _positions(scores: Tensor, causal: bool, window: int) -> list[Tensor]:
    """What causality and the window open, (Tq, Tk) each."""
    query = torch.arange(scores.shape[-2], device=scores.device)[:, None]
    key = torch.arange(scores.shape[-1], device=scores.device)[None, :]
    conditions = [key <= query] if causal else []
    return [*conditions, (query - key).abs() <= window] if window > 0 else conditions


def _all_of(conditions: list[Tensor]) -> Tensor | None:
    """None where there are no conditions."""
    return reduce(torch.logical_and, conditions) if conditions else None


def mask_and_bias(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A mask, as torch has them, in the operator's place for its type."""
    return (None, mask) if mask is not None and mask.is_floating_point() else (mask, None)


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
        """y, or (y, P (B, heads, T, T)).

        `mask`, broadcastable to P: boolean, True = may be attended, or floating-point, added to the scores.
        """
        q, k, v = self.split_heads(self.project_in(x))
        y, attention = torch.ops.fovea.multi_head_attention(
            q, k, v, *mask_and_bias(mask), self.scale, self.causal, self.window
        )
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
