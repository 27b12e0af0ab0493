"""Tiny networks with attention in them, exported once for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from fovea.attention.additive import AdditiveAttention
from fovea.attention.bilinear import BilinearAttention
from fovea.attention.cbam import CBAM
from fovea.attention.coordinate import CoordinateAttention
from fovea.attention.distance import DistanceAttention
from fovea.attention.dot import DotAttention, ScaledDotAttention
from fovea.attention.efficient_channel import EfficientChannelAttention
from fovea.attention.external import ExternalAttentionMap
from fovea.attention.gated import Gated
from fovea.attention.max_pool import MaxPoolAttention
from fovea.attention.multi_head import MultiHeadAttention, SelfAttention
from fovea.attention.simam import SimAM
from fovea.attention.spatial import SpatialAttention
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.attention.squeeze_only import SqueezeOnly
from fovea.export.exporter import export_graph
from fovea.export.graph import ExportedGraph

FEATURE_MAP_BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "squeeze_excitation": lambda: SqueezeExcitation(8),
    "squeeze_only": SqueezeOnly,
    "spatial": lambda: SpatialAttention(3),
    "cbam": lambda: CBAM(8, kernel_size=3),
    "simam": SimAM,
    "gated": lambda: Gated(8),
    "max_pool": MaxPoolAttention,
    "eca": lambda: EfficientChannelAttention(8),
    "coordinate": lambda: CoordinateAttention(8),
    "squeeze_excitation_hard": lambda: SqueezeExcitation(8, activation="hard_swish", slope=1 / 6),
    "external": lambda: ExternalAttentionMap(8, slots=5),
}


class Tokens(nn.Module):
    """(N, 2, 6, 6) -> 36 tokens -> attention -> (N, 3)."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.classify = nn.Linear(2, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.attention(image.flatten(2).transpose(1, 2)).mean(1))
        return logits


class Compared(nn.Module):
    """Every token searches the first 7; masked: those of them with a positive number. (N, T, 2) -> the same shape."""

    def __init__(self, score: nn.Module, masked: bool = False) -> None:
        super().__init__()
        self.score, self.masked = score, masked

    def forward(self, tokens: Tensor) -> Tensor:
        found = tokens[:, :7]
        visible = found.amax(2)[:, None] > 0 if self.masked else None  # (N, 1, 7)
        y: Tensor = self.score(tokens, found, found, visible)
        return y


SEQUENCE_BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "additive": lambda: Compared(AdditiveAttention(2, 2, hidden=5)),
    "additive_masked": lambda: Compared(AdditiveAttention(2, 2, hidden=5), masked=True),
    "distance": lambda: Compared(DistanceAttention()),
    "dot": lambda: Compared(DotAttention()),
    "scaled_dot": lambda: Compared(ScaledDotAttention()),
    "scaled_dot_masked": lambda: Compared(ScaledDotAttention(), masked=True),
    "bilinear": lambda: Compared(BilinearAttention(2, 2)),
    "multi_head": lambda: MultiHeadAttention(2, 2),
    "causal": lambda: MultiHeadAttention(2, 2, causal=True),
    "self_window": lambda: SelfAttention(2, window=3),
}


def make_network(kind: str) -> nn.Module:
    """(N, 2, 6, 6) -> (N, 3), with one attention block at `attention`, or two for a feature map."""
    torch.manual_seed(0)
    if kind in SEQUENCE_BLOCKS:
        return Tokens(SEQUENCE_BLOCKS[kind]()).eval()
    network = nn.Sequential()
    network.add_module("widen", nn.Conv2d(2, 8, 3, padding=1))
    network.add_module("attention", FEATURE_MAP_BLOCKS[kind]())
    network.add_module("again", FEATURE_MAP_BLOCKS[kind]())
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("classify", nn.Linear(8, 3))
    return network.eval()


@pytest.fixture(scope="session")
def network() -> Callable[[str], nn.Module]:
    """Makes the network of a kind, the same weights every time."""
    return make_network


@pytest.fixture(scope="session")
def exported() -> Iterator[Callable[[str], ExportedGraph]]:
    """The exported network of a kind; traced once in a test run."""

    @cache
    def export(kind: str) -> ExportedGraph:
        return export_graph(make_network(kind), {"input": torch.randn(2, 2, 6, 6)}, ["logits"])

    yield export
    export.cache_clear()


@pytest.fixture(params=[*FEATURE_MAP_BLOCKS, *SEQUENCE_BLOCKS])
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of network in turn."""
    return str(request.param)
