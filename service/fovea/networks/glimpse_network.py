"""A small network that reads a word through one glimpse: a single attention step over its letters.

A convolution gives each letter the features of its neighbourhood, the mean of the features makes the query, and what
the glimpse brings back is classified. Without attention the mean itself is. The types differ in their score alone.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.additive import AdditiveAttention
from fovea.attention.bilinear import BilinearAttention
from fovea.attention.distance import DistanceAttention
from fovea.attention.dot import DotAttention, ScaledDotAttention
from fovea.attention.hard import HardAttention
from fovea.contract.attention import AttentionType

NEIGHBOURS = 7
"""Letters that a letter's features are made of, itself in the middle."""

GLIMPSES: dict[AttentionType, Callable[[int], nn.Module | None]] = {
    AttentionType.NONE: lambda _width: None,
    # As scaled dot does for vectors of one length: 73.8 %. Of a bandwidth of 1 only the nearest letter counts: 63.0 %.
    AttentionType.DISTANCE: lambda width: DistanceAttention(0.5 * width**-0.5),
    AttentionType.DOT: lambda _width: DotAttention(),
    AttentionType.SCALED_DOT: lambda _width: ScaledDotAttention(),
    AttentionType.ADDITIVE: lambda width: AdditiveAttention(width, width, width),
    AttentionType.BILINEAR: lambda width: BilinearAttention(width, width),
    AttentionType.HARD_ARGMAX: lambda _width: HardAttention(ScaledDotAttention()),
    AttentionType.HARD_SAMPLE: lambda _width: HardAttention(ScaledDotAttention()),
}
"""Attention type -> what makes its glimpse from the width of the features."""


class GlimpseNetwork(nn.Module):
    """letters (B, T) int64 and mask (B, T) bool, with a draw seed (B) int64 too -> logits (B, classes)."""

    def __init__(self, attention: AttentionType, letters: int, classes: int, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(letters, width)
        self.convolve = nn.Conv1d(width, width, NEIGHBOURS, padding=NEIGHBOURS // 2)
        self.glimpse = GLIMPSES[attention](width)
        self.ask = nn.Linear(width, width) if self.glimpse is not None else None
        self.classify = nn.Linear(width, classes)

    def forward(self, letters: Tensor, mask: Tensor, seed: Tensor | None = None) -> Tensor:
        """Logits; `seed` where a key is drawn."""
        features, mean = self.read(letters, mask)
        if self.glimpse is None:
            return self.answer(mean)
        drawing = () if seed is None else (seed,)
        return self.answer(self.glimpse(self.query(mean), features, features, mask[:, None], *drawing))

    def read(self, letters: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the letters (B, T, width), zeros where there is none, and their mean (B, 1, width)."""
        shares = mask[..., None].to(self.embed.weight.dtype)
        embedded = self.embed(letters) * shares
        features = F.relu(self.convolve(embedded.transpose(1, 2)).transpose(1, 2)) * shares
        return features, features.sum(1, keepdim=True) / shares.sum(1, keepdim=True).clamp(min=1)

    def query(self, mean: Tensor) -> Tensor:
        """(B, 1, width): what to look for in a word with this mean."""
        assert self.ask is not None
        query: Tensor = self.ask(mean)
        return query

    def answer(self, seen: Tensor) -> Tensor:
        """Logits of what was seen, (B, 1, width)."""
        logits: Tensor = self.classify(seen[:, 0])
        return logits

    def scores(self, features: Tensor, mean: Tensor) -> Tensor:
        """(B, 1, T): what a hard glimpse chooses by."""
        assert isinstance(self.glimpse, HardAttention)
        return self.glimpse.score.scores(self.query(mean), features)
