"""A Transformer encoder of texts as in BERT (Devlin et al. 2019, arXiv:1810.04805): normalised after each sum.

Differs from the paper: there is no second sentence, so no types of tokens; no dropout: a few epochs do not overfit.
One vector a text is the mean over its open tokens (Reimers & Gurevych 2019, arXiv:1908.10084), not the first token's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.multi_head import MultiHeadAttention


@dataclass(frozen=True)
class EncoderSize:
    """What decides the shapes of an encoder's weights."""

    vocabulary: int
    width: int
    heads: int
    depth: int
    inner: int
    """Width of the hidden layer behind each attention."""
    longest: int
    """Most tokens of a text."""


class PostNormBlock(nn.Module):
    """norm(x + attention(x)), then norm(+ mlp(x)): (B, T, D) -> (B, T, D)."""

    def __init__(self, size: EncoderSize) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(size.width, size.heads)
        self.attention_norm = nn.LayerNorm(size.width, eps=1e-12)
        self.mlp = nn.Sequential(nn.Linear(size.width, size.inner), nn.GELU(), nn.Linear(size.inner, size.width))
        self.mlp_norm = nn.LayerNorm(size.width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`mask`: (B, 1, 1, T), true where there is a token."""
        x = self.attention_norm(x + self.attention(x, mask))
        y: Tensor = self.mlp_norm(x + self.mlp(x))
        return y


class TextEncoder(nn.Module):
    """tokens (B, T) int64, mask (B, T) bool -> one vector a token, (B, T, D)."""

    def __init__(self, size: EncoderSize) -> None:
        super().__init__()
        self.words = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Parameter(torch.zeros(size.longest, size.width))
        self.norm = nn.LayerNorm(size.width, eps=1e-12)
        self.blocks = nn.ModuleList([PostNormBlock(size) for _ in range(size.depth)])
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Of texts that are filled up: what stands where the mask is false means nothing."""
        x: Tensor = self.norm(self.words(tokens) + self.positions[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x, mask[:, None, None, :])
        return x


class MeanOfTokens(nn.Module):
    """tokens (B, T) int64, mask (B, T) bool -> one vector a text, (B, D)."""

    def __init__(self, size: EncoderSize) -> None:
        super().__init__()
        self.encoder = TextEncoder(size)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The mean over the tokens where the mask is true."""
        weights = mask[..., None].to(self.encoder.positions.dtype)
        hidden = self.encoder(tokens, mask)
        mean: Tensor = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)  # a row without a token: zeros
        return mean


class TextEmbedding(MeanOfTokens):
    """The same of length 1, so that the dot product of two texts is their cosine."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, D)."""
        return F.normalize(super().forward(tokens, mask), dim=-1)


class TextClassifier(nn.Module):
    """tokens (B, T) int64, mask (B, T) bool -> logits (B, classes)."""

    def __init__(self, size: EncoderSize, classes: int) -> None:
        super().__init__()
        self.mean = MeanOfTokens(size)
        self.classify = nn.Linear(size.width, classes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits of whole texts."""
        logits: Tensor = self.classify(self.mean(tokens, mask))
        return logits
