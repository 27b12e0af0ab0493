"""The networks: shapes, size, a slot for every type, and tracing with a dynamic batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fovea.attention.factory import FEATURE_MAP_ATTENTION
from fovea.attention.registration import OPERATOR_OF
from fovea.contract.attention import AttentionType
from fovea.networks.residual_network import ResidualNetwork
from fovea.networks.vision_transformer import VisionTransformer

NETWORKS = {attention.value: lambda a=attention: ResidualNetwork(a) for attention in FEATURE_MAP_ATTENTION}
NETWORKS["vit"] = VisionTransformer


def _attention_nodes(module: nn.Module) -> list[str]:
    program = torch.export.export(
        module.eval(), (torch.zeros(2, 1, 28, 28),), dynamic_shapes={"image": {0: torch.export.Dim("batch")}}
    )
    names = [node.target.name() for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    return [name for name in names if name in OPERATOR_OF]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_network_gives_ten_logits_per_image(name: str, rows: int) -> None:
    assert NETWORKS[name]().eval()(torch.zeros(rows, 1, 28, 28)).shape == (rows, 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_stays_small(name: str) -> None:
    assert sum(parameter.numel() for parameter in NETWORKS[name]().parameters()) < 400_000


@pytest.mark.parametrize("name", NETWORKS)
def test_a_trace_with_dynamic_batch_shows_one_operator_per_attention_block(name: str) -> None:
    expected = 0 if name == AttentionType.NONE else 3
    assert len(_attention_nodes(NETWORKS[name]())) == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_gets_the_same_logits_alone_and_among_others(name: str) -> None:
    network = NETWORKS[name]().eval().double()
    images = torch.randn(5, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(images)[2:3], network(images[2:3]))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name: str) -> None:
    network = NETWORKS[name]()
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(network(images), torch.tensor([1, 2, 3, 4])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
