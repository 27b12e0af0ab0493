"""What the score functions share: which keys may be attended, the softmax over those, and the form of their modules.

Masks are boolean, True = may be attended. A query that may attend nothing has P = 0 and Y = 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def full_mask(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """The mask at its full shape (B, Tq, Tk), as the operators take it.

    `mask` is broadcastable to that: (B, 1, Tk) hides padding; query (B, Tq, ·), key (B, Tk, ·).
    """
    return None if mask is None else mask.expand(query.shape[0], query.shape[1], key.shape[1])


def require_fit(q: Tensor, k: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """ValueError where rows, keys, features or mask do not fit together: kernels broadcast nothing."""
    alike = q.shape[::2] == k.shape[::2] and k.shape[:2] == value.shape[:2]
    if not alike or (mask is not None and mask.shape != (*q.shape[:2], k.shape[1])):
        shapes = [list(tensor.shape) for tensor in (q, k, value, mask) if tensor is not None]
        raise ValueError(f"queries, keys, values and mask do not fit together: {', '.join(map(str, shapes))}")


def masked_softmax(scores: Tensor, allowed: Tensor | None) -> Tensor:
    """Softmax over the allowed keys of the last axis; zeros where there are none."""
    if allowed is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min  # finite: a row with nothing allowed must not become NaN
    return torch.softmax(scores.masked_fill(~allowed, lowest), dim=-1).masked_fill(~allowed, 0.0)


def attend(scores: Tensor, value: Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """P = softmax of the scores over the allowed keys; P value, and P."""
    attention = masked_softmax(scores, allowed)
    return attention @ value, attention


class ScoredAttention(nn.Module):
    """Soft attention by some score: query (B, Tq, ·), key (B, Tk, ·), value (B, Tk, D) -> y (B, Tq, D)."""

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """The score alone, (B, Tq, Tk): what hard attention chooses by."""
        raise NotImplementedError

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """y and P by one operator; `mask` has its full shape."""
        raise NotImplementedError

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, P (B, Tq, Tk)). `mask`: boolean, broadcastable to P, True = may be attended."""
        y, attention = self.attend(query, key, value, full_mask(mask, query, key))
        return (y, attention) if return_attention else y
