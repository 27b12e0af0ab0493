"""A small Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) for 28x28 grey images.

Differs from the paper: two convolutions make the tokens instead of one step per patch (Xiao et al. 2021,
arXiv:2106.14881: they learn faster), the classifier reads every token instead of a class token; no dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.attention.multi_head import MultiHeadAttention


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then + mlp(norm(x)): (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """One encoder step."""
        x = x + self.attention(self.attention_norm(x))
        y: Tensor = x + self.mlp(self.mlp_norm(x))
        return y


def _halve(channels_in: int, channels_out: int) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


class VisionTransformer(nn.Module):
    """(N, 1, size, size) -> logits (N, classes); one token per 4x4 pixels, learned positions."""

    def __init__(self, classes: int = 10, *, size: int = 28, width: int = 56, heads: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(_halve(1, width // 2), nn.GELU(), _halve(width // 2, width))
        tokens = (size // 4) ** 2
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.Sequential(*[EncoderBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(tokens * width, classes)
        nn.init.normal_(self.positions, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of normalised images."""
        tokens = self.stem(image).flatten(2).transpose(1, 2) + self.positions  # (N, T, D)
        features = self.norm(self.blocks(tokens))
        logits: Tensor = self.classify(features.flatten(1))
        return logits
