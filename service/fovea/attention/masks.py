"""Masks of the score functions: boolean, True = may be attended."""

from __future__ import annotations

from torch import Tensor


def full_mask(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
    """The mask at its full shape (B, Tq, Tk), as the operators take it.

    `mask` is broadcastable to that: (B, 1, Tk) hides padding; query (B, Tq, ·), key (B, Tk, ·).
    """
    return None if mask is None else mask.expand(query.shape[0], query.shape[1], key.shape[1])
