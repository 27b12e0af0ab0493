"""A ResNet-50 (He et al. 2016, arXiv:1512.03385) with an attention block on every bottleneck before its residual sum.

Weights are random but seeded. Batch normalisation has the statistics of one random batch: numbers stay around 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.contract.attention import AttentionType

Attention = Callable[[int], nn.Module]
"""From the number of channels to a block (N, C, H, W) -> the same shape."""

STAGE_WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
CLASSES = 1000


def _conv(channels_in: int, channels_out: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out, momentum=None))


class Bottleneck(nn.Module):
    """relu(shortcut(x) + attention(three convolutions of x)): (N, C, H, W) -> (N, 4 width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, stride: int, attention: Attention) -> None:
        super().__init__()
        wide = width * EXPANSION
        self.reduce = _conv(channels, width, 1)
        self.middle = _conv(width, width, 3, stride)
        self.expand = _conv(width, wide, 1)
        self.attention = attention(wide)
        self.shortcut = nn.Identity() if channels == wide else _conv(channels, wide, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.expand(F.relu(self.middle(F.relu(self.reduce(x)))))
        return F.relu(self.shortcut(x) + self.attention(branch))


def _stages(blocks_per_stage: Sequence[int], attention: Attention) -> nn.Sequential:
    blocks = []
    channels = STAGE_WIDTHS[0]
    for stage, count in enumerate(blocks_per_stage):
        for block in range(count):
            stride = 2 if stage and not block else 1
            blocks.append(Bottleneck(channels, STAGE_WIDTHS[stage], stride, attention))
            channels = STAGE_WIDTHS[stage] * EXPANSION
    return nn.Sequential(*blocks)


class ResNet(nn.Module):
    """(N, 3, side, side) -> logits (N, 1000)."""

    def __init__(self, blocks_per_stage: Sequence[int], attention: Attention) -> None:
        super().__init__()
        self.stem = _conv(3, STAGE_WIDTHS[0], 7, 2)
        self.blocks = _stages(blocks_per_stage, attention)
        self.classify = nn.Linear(STAGE_WIDTHS[-1] * EXPANSION, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        features = self.blocks(F.max_pool2d(F.relu(self.stem(image)), 3, 2, 1))
        logits: Tensor = self.classify(features.mean(dim=(2, 3)))
        return logits


def seeded(blocks_per_stage: Sequence[int], side: int, attention: Attention) -> ResNet:
    """In evaluation mode."""
    torch.manual_seed(0)
    network = ResNet(blocks_per_stage, attention)
    with torch.no_grad():
        network.train()(torch.randn(4, 3, side, side))
    return network.eval()


def with_squeeze_and_excitation() -> ResNet:
    """The whole network, for `fovea export`."""
    return seeded((3, 4, 6, 3), 224, FEATURE_MAP_ATTENTION[AttentionType.SQUEEZE_EXCITATION])
