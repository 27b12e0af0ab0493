"""What the score functions share: which keys may be attended, and the softmax over those.

Masks are boolean, True = may be attended. A query that may attend nothing has P = 0 and Y = 0.
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def attend(scores: Tensor, value: Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    """P = softmax of the scores over the allowed keys, zeros where there are none; P value, and P."""
    if allowed is None:
        attention = torch.softmax(scores, dim=-1)
    else:
        lowest = torch.finfo(scores.dtype).min  # finite: a row with nothing allowed must not become NaN
        attention = torch.softmax(scores.masked_fill(~allowed, lowest), dim=-1).masked_fill(~allowed, 0.0)
    return attention @ value, attention
