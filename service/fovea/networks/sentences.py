"""A sentence as one vector, as memory networks have it (Sukhbaatar et al. 2015, arXiv:1503.08895, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PAD = 0
"""The token behind the end of a sentence; a sentence of nothing else is none."""


class SentenceEmbedding(nn.Embedding):
    """The sum of its words' vectors, each weighed by its place: tokens (..., T) int64 -> (..., width).

    Position encoding: word j of J has weight (1 - j/J) - (k/width)(1 - 2j/J) in feature k, both counted from 1.
    `positions` False: the plain sum, a bag of words.
    """

    def __init__(self, words: int, width: int, *, positions: bool = True) -> None:
        super().__init__(words, width, padding_idx=PAD)
        self.positions = positions
        nn.init.normal_(self.weight, std=0.1)
        with torch.no_grad():
            self.weight[PAD] = 0

    def forward(self, tokens: Tensor) -> Tensor:
        """One vector a sentence; zeros where there is none."""
        words = super().forward(tokens)  # (..., T, width)
        return self._positioned(words, tokens != PAD) if self.positions else words.sum(-2)

    def _positioned(self, words: Tensor, there: Tensor) -> Tensor:
        """(..., width): the weights are (1 - k/width) + (2k/width - 1) · j/J, so that two sums over the words do."""
        length = there.sum(-1, keepdim=True).clamp(min=1)
        place = there.cumsum(-1) / length  # (..., T), of the words that are known
        both = torch.stack([torch.ones_like(place), place], -2).to(words.dtype) @ words  # (..., 2, width)
        feature = (torch.arange(1, self.embedding_dim + 1) / self.embedding_dim).to(words.dtype)
        return (1 - feature) * both[..., 0, :] + (2 * feature - 1) * both[..., 1, :]
