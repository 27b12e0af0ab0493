"""The blocks for feature maps against implementations that are not ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fightingcv_attention.attention.CBAM import ChannelAttention
from fightingcv_attention.attention.CBAM import SpatialAttention as PeerSpatial
from fightingcv_attention.attention.CoordAttention import CoordAtt
from fightingcv_attention.attention.ECAAttention import ECAAttention
from fightingcv_attention.attention.ExternalAttention import ExternalAttention as PeerExternal
from fightingcv_attention.attention.SEAttention import SEAttention
from fightingcv_attention.attention.SimAM import SimAM as PeerSimAM
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.cbam import CBAM
from fovea.attention.coordinate import CoordinateAttention
from fovea.attention.efficient_channel import EfficientChannelAttention
from fovea.attention.external import ExternalAttention, ExternalAttentionMap
from fovea.attention.factory import FEATURE_MAP_ATTENTION, build
from fovea.attention.max_pool import MaxPoolAttention
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


def test_squeezing_alone_is_squeeze_and_excitation_whose_layers_do_nothing(image: Tensor) -> None:
    positive, identity = image.abs(), torch.eye(64, dtype=torch.float64)
    expected = torch.ops.fovea.squeeze_excitation(positive, identity, None, identity, None, "relu", 0.0)
    torch.testing.assert_close(SqueezeOnly()(positive, return_attention=True), tuple(expected))


@pytest.mark.parametrize(
    ("activation", "slope", "middle", "gate"),
    [
        ("silu", 0.0, nn.SiLU(), nn.Sigmoid()),
        ("hard_swish", 1 / 6, nn.Hardswish(), nn.Hardsigmoid()),
        ("relu", 0.2, nn.ReLU(), lambda x: torch.clamp(0.2 * x + 0.5, 0, 1)),
    ],
)
def test_squeeze_excitation_has_the_activations_and_gates_that_others_gave_it(
    image: Tensor, activation: str, slope: float, middle: nn.Module, gate: Callable[[Tensor], Tensor]
) -> None:
    block = SqueezeExcitation(64, activation=activation, slope=slope).double()
    scores = block.excite(middle(block.squeeze(image.mean((2, 3)) * 50)))
    torch.testing.assert_close(block(image * 50), image * 50 * gate(scores)[:, :, None, None])


def test_an_activation_that_the_operator_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ValueError, match="no activation gelu; there are: relu, silu, hard_swish"):
        SqueezeExcitation(64, activation="gelu")


@pytest.mark.parametrize(("channels", "size"), [(8, 3), (32, 3), (64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_efficient_channel_attention_has_the_kernel_size_of_the_papers_rule(channels: int, size: int) -> None:
    assert EfficientChannelAttention(channels).conv.weight.shape == (1, 1, size)


def test_efficient_channel_attention_agrees_with_a_peer(image: Tensor) -> None:
    ours, peer = EfficientChannelAttention(64).double(), ECAAttention(kernel_size=3).double()
    with torch.no_grad():
        peer.conv.weight.copy_(ours.conv.weight)
        peer.conv.bias.zero_()  # the paper's convolution has none
    torch.testing.assert_close(ours(image), peer(image))


def test_coordinate_attention_agrees_with_a_peer(image: Tensor) -> None:
    ours, peer = CoordinateAttention(64).double(), CoordAtt(64, 64).double()
    ours(image)
    with torch.no_grad():
        for own, other in ((ours.squeeze, peer.conv1), (ours.rows, peer.conv_h), (ours.columns, peer.conv_w)):
            other.weight.copy_(own.weight[:, :, None, None])
            other.bias.copy_(own.bias)
    peer.bn1.load_state_dict(ours.norm.state_dict())
    for training in (True, False):
        torch.testing.assert_close(ours.train(training)(image), peer.train(training)(image))


def test_coordinate_attention_learns_the_statistics_of_what_it_normalises(image: Tensor) -> None:
    block = CoordinateAttention(64).double()
    before = block.norm.running_var.clone()
    block(image)
    assert not torch.equal(block.norm.running_var, before)
    folded = block.eval()(image)
    block(image)
    torch.testing.assert_close(block(image), folded)


def test_a_gate_with_both_halves_of_a_projection_is_the_gated_linear_unit(image: Tensor) -> None:
    value, scores = image.chunk(2, dim=1)
    torch.testing.assert_close(torch.ops.fovea.gate(value.contiguous(), scores.contiguous())[0], F.glu(image, dim=1))


def test_what_max_pooling_passes_is_what_pooling_gives_where_it_was(image: Tensor) -> None:
    y, mask = MaxPoolAttention(3)(image, return_attention=True)
    pooled, places = F.max_pool2d(image, 3, ceil_mode=True, return_indices=True)
    torch.testing.assert_close(y, F.max_unpool2d(pooled, places, 3, output_size=[7, 9]))
    assert set(mask.unique().tolist()) == {0.0, 1.0}


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
