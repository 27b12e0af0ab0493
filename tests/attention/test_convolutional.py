"""The blocks for feature maps against implementations that are not ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fightingcv_attention.attention.CBAM import ChannelAttention
from fightingcv_attention.attention.CBAM import SpatialAttention as PeerSpatial
from fightingcv_attention.attention.ExternalAttention import ExternalAttention as PeerExternal
from fightingcv_attention.attention.SEAttention import SEAttention
from fightingcv_attention.attention.SimAM import SimAM as PeerSimAM
from torch import Tensor, nn

from fovea.attention.cbam import CBAM
from fovea.attention.external import ExternalAttention, ExternalAttentionMap
from fovea.attention.factory import FEATURE_MAP_ATTENTION, build
from fovea.attention.simam import SimAM
from fovea.attention.spatial import SpatialAttention
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.attention.squeeze_only import SqueezeOnly
from fovea.contract.attention import AttentionType

BLOCKS = [attention for attention in FEATURE_MAP_ATTENTION if attention is not AttentionType.NONE]


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 64, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_squeeze_excitation_agrees_with_a_peer(image: Tensor) -> None:
    ours, peer = SqueezeExcitation(64).double(), SEAttention(64, reduction=16).double()
    with torch.no_grad():
        ours.squeeze.bias.zero_()
        ours.excite.bias.zero_()
        peer.fc[0].weight.copy_(ours.squeeze.weight)
        peer.fc[2].weight.copy_(ours.excite.weight)
    torch.testing.assert_close(ours(image), peer(image))


def test_squeezing_alone_gates_each_plane_by_its_own_mean(image: Tensor) -> None:
    y, gate = SqueezeOnly()(image, return_attention=True)
    for row, channel in np.ndindex(2, 64):
        plane = image[row, channel].numpy()
        share = 1 / (1 + np.exp(-plane.sum() / 63))
        np.testing.assert_allclose(gate[row, channel], share)
        np.testing.assert_allclose(y[row, channel], plane * share)


def test_spatial_attention_agrees_with_a_peer(image: Tensor) -> None:
    ours, peer = SpatialAttention(7).double(), PeerSpatial(7).double()
    with torch.no_grad():
        nn.init.zeros_(peer.conv.bias)
        peer.conv.weight[:, 0] = ours.conv.weight[:, 1]  # the peer puts the maximum first
        peer.conv.weight[:, 1] = ours.conv.weight[:, 0]
    y, position_gate = ours(image, return_attention=True)
    torch.testing.assert_close(position_gate, peer(image))
    torch.testing.assert_close(y, image * peer(image))


def test_cbam_agrees_with_a_peer(image: Tensor) -> None:
    ours, peer, spatial = CBAM(64).double(), ChannelAttention(64).double(), SpatialAttention().double()
    with torch.no_grad():
        ours.squeeze.bias.zero_()
        ours.excite.bias.zero_()
        peer.se[0].weight.copy_(ours.squeeze.weight[:, :, None, None])
        peer.se[2].weight.copy_(ours.excite.weight[:, :, None, None])
        spatial.conv.weight.copy_(ours.spatial.conv.weight)
    y, gate, position_gate = ours(image, return_attention=True)
    torch.testing.assert_close(gate, peer(image).flatten(1))
    torch.testing.assert_close(y, spatial(image * peer(image)))
    assert position_gate.shape == (2, 1, 7, 9)


def test_cbam_adds_the_second_bias_once_per_pooled_vector() -> None:
    block = CBAM(4).double()
    with torch.no_grad():
        for parameter in (block.squeeze.weight, block.squeeze.bias, block.excite.weight):
            parameter.zero_()
        block.excite.bias.fill_(0.7)
    _, gate, _ = block(torch.ones(1, 4, 3, 3, dtype=torch.float64), return_attention=True)
    torch.testing.assert_close(gate, torch.full((1, 4), 1.4, dtype=torch.float64).sigmoid())


def test_simam_agrees_with_a_peer(image: Tensor) -> None:
    torch.testing.assert_close(SimAM()(image), PeerSimAM()(image))


def test_simam_weighs_a_plane_of_one_pixel_by_the_sigmoid_of_a_half() -> None:
    x = torch.tensor([[[[3.0]], [[-2.0]]]], dtype=torch.float64)
    y, weights = SimAM()(x, return_attention=True)
    assert y.isfinite().all()
    torch.testing.assert_close(weights, torch.full_like(x, 0.5).sigmoid())


def test_external_attention_agrees_with_a_peer() -> None:
    tokens = torch.randn(2, 49, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    ours, peer = ExternalAttention(32, slots=8, epsilon=0.0).double(), PeerExternal(32, S=8).double()
    with torch.no_grad():
        peer.mk.weight.copy_(ours.memory_key)
        peer.mv.weight.copy_(ours.memory_value.t())
    torch.testing.assert_close(ours(tokens), peer(tokens))


def test_external_attention_shares_each_token_out_among_the_slots(image: Tensor) -> None:
    _, attention = ExternalAttentionMap(64, slots=8).double()(image, return_attention=True)
    assert attention.shape == (2, 63, 8)
    torch.testing.assert_close(attention.sum(2), torch.ones(2, 63, dtype=torch.float64))


def test_external_attention_on_a_map_adds_what_it_gives_for_each_position(image: Tensor) -> None:
    block = ExternalAttentionMap(64, slots=8).double()
    tokens = torch.stack([image[:, :, row, column] for row in range(7) for column in range(9)], dim=1)
    given = (block(image) - image)[:, :, 2, 5]
    torch.testing.assert_close(given, block.tokens(tokens)[:, 2 * 9 + 5])


@pytest.mark.parametrize("attention", BLOCKS)
def test_every_block_keeps_the_shape_and_its_maps_lie_between_nought_and_one(
    attention: AttentionType, image: Tensor
) -> None:
    y, *maps = build(attention, 64).double()(image, return_attention=True)
    assert y.shape == image.shape
    assert maps
    assert all(each.min() >= 0 and each.max() <= 1 for each in maps)


@pytest.mark.parametrize("attention", BLOCKS)
def test_a_block_answers_the_same_with_and_without_its_maps(attention: AttentionType, image: Tensor) -> None:
    block = build(attention, 64).double()
    torch.testing.assert_close(block(image), block(image, return_attention=True)[0])


def test_a_narrow_block_keeps_four_hidden_units() -> None:
    assert SqueezeExcitation(8).squeeze.out_features == 4
    assert CBAM(128).squeeze.out_features == 8


def test_no_attention_gives_back_its_input(image: Tensor) -> None:
    assert build(AttentionType.NONE, 64)(image) is image


def test_a_type_without_a_block_for_maps_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"additive.*squeeze_excitation"):
        build(AttentionType.ADDITIVE, 64)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="odd, got 4"):
        SpatialAttention(4)
