"""Cross-attention: queries of one sequence look into another one (Vaswani et al. 2017, arXiv:1706.03762).

P = softmax(q kᵀ / √d over the allowed keys), y = concat over heads (P v) Wo;
x (B, Tq, D), memory (B, Tk, M), P (B, heads, Tq, Tk), d = D / heads.
Differs from the paper: a query that may attend nothing yields zeros before Wo.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.multi_head import mask_and_bias


class CrossAttention(nn.Module):
    """Q of x, K and V of the memory, which may be longer, shorter and wider: (B, Tq, D), (B, Tk, M) -> (B, Tq, D)."""

    def __init__(self, width: int, memory_width: int, heads: int = 1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.project_query = nn.Linear(width, width)
        self.project_memory = nn.Linear(memory_width, 2 * width)
        self.project_out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y, or (y, P). `mask`: as that of multi-head attention; (B, 1, 1, Tk) hides padding."""
        q = self._split_heads(self.project_query(x))
        k, v = (self._split_heads(part) for part in self.project_memory(memory).chunk(2, dim=-1))
        y, attention = torch.ops.fovea.multi_head_attention(q, k, v, *mask_and_bias(mask), self.scale, False, 0)
        y = self.project_out(y.transpose(1, 2).flatten(2))  # (B, Tq, D)
        return (y, attention) if return_attention else y

    def _split_heads(self, projected: Tensor) -> Tensor:
        """(B, T, D) -> (B, heads, T, d)."""
        rows, tokens, width = projected.shape
        return projected.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2)
