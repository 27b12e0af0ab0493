"""The attention types that fit the slot of a convolutional network: (N, C, H, W) -> the same shape."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fovea.attention.cbam import CBAM
from fovea.attention.coordinate import CoordinateAttention
from fovea.attention.efficient_channel import EfficientChannelAttention
from fovea.attention.external import ExternalAttentionMap
from fovea.attention.gated import Gated
from fovea.attention.max_pool import MaxPoolAttention
from fovea.attention.simam import SimAM
from fovea.attention.spatial import SpatialAttention
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.attention.squeeze_only import SqueezeOnly
from fovea.contract.attention import AttentionType

FEATURE_MAP_ATTENTION: dict[AttentionType, Callable[[int], nn.Module]] = {
    AttentionType.NONE: lambda _channels: nn.Identity(),
    AttentionType.SQUEEZE_EXCITATION: SqueezeExcitation,
    AttentionType.SQUEEZE_ONLY: lambda _channels: SqueezeOnly(),
    AttentionType.SPATIAL: lambda _channels: SpatialAttention(),
    AttentionType.CBAM: CBAM,
    AttentionType.SIMAM: lambda _channels: SimAM(),
    AttentionType.EXTERNAL: ExternalAttentionMap,
    AttentionType.GATED: Gated,
    AttentionType.MAX_POOL: lambda _channels: MaxPoolAttention(),
    AttentionType.ECA: EfficientChannelAttention,
    AttentionType.COORDINATE: CoordinateAttention,
}
"""Attention type -> constructor from the number of channels."""


def build(attention: AttentionType, channels: int) -> nn.Module:
    """The block of this type for a feature map with `channels` channels; ValueError names the types there are."""
    constructor = FEATURE_MAP_ATTENTION.get(attention)
    if constructor is None:
        known = ", ".join(FEATURE_MAP_ATTENTION)
        raise ValueError(f"no block for feature maps of type {attention}; there are: {known}")
    return constructor(channels)
