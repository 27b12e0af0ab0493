"""The blocks that are raced: Fovea's module, its plain opponent, the sizes, and what the kernel has to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from tests.benchmarks import kernels_plain as plain
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention import additive as additive
from fovea.attention import gated as gated
from fovea.attention.bilinear import BilinearAttention
from fovea.attention.cbam import CBAM
from fovea.attention.coordinate import CoordinateAttention
from fovea.attention.distance import DistanceAttention
from fovea.attention.dot import ScaledDotAttention
from fovea.attention.efficient_channel import EfficientChannelAttention
from fovea.attention.external import ExternalAttention
from fovea.attention.hard import HardAttention
from fovea.attention.max_pool import MaxPoolAttention
from fovea.attention.simam import SimAM
from fovea.attention.spatial import SpatialAttention
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.attention.squeeze_only import SqueezeOnly

ROWS = 8
CHANNELS, SIDE = 64, 56
WIDTH = 128
FEATURES = {"x": (CHANNELS, SIDE, SIDE)}
SEQUENCES = {"q": (32, WIDTH), "k": (64, WIDTH), "v": (64, WIDTH)}


@dataclass(frozen=True)
class Block:
    """One row of the table. `inputs`: name -> shape of one row of the batch; `targets`: column -> ratio."""

    label: str
    ours: Callable[[], nn.Module]
    plain: Callable[[], nn.Module]
    inputs: dict[str, tuple[int, ...]]
    targets: dict[str, float] = field(default_factory=dict)

    @property
    def copied(self) -> bool:
        """Whether copying its input is a measure of it: one feature map in, one out."""
        return self.inputs == FEATURES

    def modules(self) -> tuple[nn.Module, nn.Module]:
        """Ours and the plain one, with the same weights."""
        torch.manual_seed(0)
        ours, opponent = self.ours().eval(), self.plain().eval()
        opponent.load_state_dict(ours.state_dict())
        return ours, opponent


class AdditiveScores(plain.PlainAdditive):
    """The operator alone, as the projections are outside of it."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = torch.ops.fovea.additive_attention(q, k, v, self.v, None)[0]
        return y


class Gate(nn.Module):
    """The operator alone, as what makes its scores is outside of it."""

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        y: Tensor = torch.ops.fovea.gate(x, r)[0]
        return y


class Residual(nn.Module):
    """relu(attention(x) + r): how a residual network ends a block."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        return F.relu(self.attention(x) + r)


def _mapped(label: str, ours: Callable[[], nn.Module], opponent: Callable[[], nn.Module], **targets: float) -> Block:
    return Block(label, ours, opponent, FEATURES, {**targets, "threads": 1.7})


def _scored(label: str, ours: Callable[[], nn.Module], opponent: Callable[[], nn.Module], **targets: float) -> Block:
    return Block(label, ours, opponent, SEQUENCES, targets)


def _residual(label: str, block: Block) -> Block:
    """The same block with a residual sum and a ReLU after it, which the exporter gives to the kernel."""
    inputs = {**FEATURES, "r": FEATURES["x"]}
    return Block(label, lambda: Residual(block.ours()), lambda: Residual(block.plain()), inputs)


_SQUEEZE_EXCITATION = _mapped(
    "squeeze-and-excitation",
    lambda: SqueezeExcitation(CHANNELS),
    lambda: plain.PlainSqueezeExcitation(CHANNELS),
    copy=1.8,
    plain=1.0,
)
_SIMAM = _mapped("SimAM", SimAM, plain.PlainSimAM, copy=4.0, plain=4.0)
_CBAM = _mapped("CBAM", lambda: CBAM(CHANNELS), lambda: plain.PlainCBAM(CHANNELS), copy=4.0, plain=3.5)
_SPATIAL = _mapped("spatial half of CBAM", SpatialAttention, plain.PlainSpatial, copy=3.0, plain=3.0)

BLOCKS: tuple[Block, ...] = (
    _SQUEEZE_EXCITATION,
    _SIMAM,
    _CBAM,
    _SPATIAL,
    _residual("squeeze-and-excitation, sum, ReLU", _SQUEEZE_EXCITATION),
    _residual("SimAM, sum, ReLU", _SIMAM),
    _residual("CBAM, sum, ReLU", _CBAM),
    _residual("spatial half, sum, ReLU", _SPATIAL),
    _mapped("squeeze without excitation", SqueezeOnly, plain.PlainSqueezeOnly, plain=1.0),
    _mapped("ECA", lambda: EfficientChannelAttention(CHANNELS), plain.PlainEfficientChannel, plain=1.0),
    _mapped("coordinate", lambda: CoordinateAttention(CHANNELS), lambda: plain.PlainCoordinate(CHANNELS), plain=1.0),
    _mapped("max pooling", MaxPoolAttention, plain.PlainMaxPool, plain=1.0),
    Block("gate", Gate, plain.PlainGate, {**FEATURES, "r": FEATURES["x"]}, {"plain": 1.0}),
    _scored("additive", lambda: AdditiveScores(WIDTH), lambda: plain.PlainAdditive(WIDTH), plain=2.0, threads=1.7),
    _scored("distance", DistanceAttention, plain.PlainDistance, plain=5.0, threads=1.7),
    _scored("distance, against torch.cdist", DistanceAttention, plain.PlainDistanceCdist),
    _scored("scaled dot product", ScaledDotAttention, plain.PlainDot),
    _scored("hard, most probable key", lambda: HardAttention(ScaledDotAttention()), plain.PlainHard),
    _scored("bilinear", lambda: BilinearAttention(WIDTH, WIDTH), lambda: plain.PlainBilinear(WIDTH)),
    Block(
        "external",
        lambda: ExternalAttention(256),
        lambda: plain.PlainExternal(256),
        {"x": (196, 256)},
        {"plain": 1.0, "threads": 1.7},
    ),
)
"""In the order of the report; x is 8x64x56x56, sequences are 8x32 queries and 8x64 keys and values of width 128."""
