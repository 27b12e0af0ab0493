"""Squeeze-and-Excitation as people write it in torch, and blocks that come near: no module of Fovea's is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS, HIDDEN = 8, 4
Function = Callable[[Tensor], Tensor]


class Convolutions(nn.Module):
    """As in MobileNetV3 and torchvision: two 1x1 convolutions."""

    def __init__(
        self, activation: Callable[[Tensor], Tensor] = F.relu, gate: Callable[[Tensor], Tensor] = torch.sigmoid
    ):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(CHANNELS, HIDDEN, 1), nn.Conv2d(HIDDEN, CHANNELS, 1)
        self._activation, self._gate = activation, gate

    def forward(self, x: Tensor) -> Tensor:
        hidden = self._activation(self.squeeze(F.adaptive_avg_pool2d(x, 1)))
        return x * self._gate(self.excite(hidden))


class Linears(nn.Module):
    """As in most repositories: `view`, two linear layers, `view`, `expand_as`."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        layers = (nn.Linear(CHANNELS, HIDDEN, bias=bias), nn.ReLU(inplace=True), nn.Linear(HIDDEN, CHANNELS, bias=bias))
        self.pool, self.layers = nn.AdaptiveAvgPool2d(1), nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        rows, channels, _, _ = x.size()
        gate = self.layers(self.pool(x).view(rows, channels)).view(rows, channels, 1, 1)
        y: Tensor = x * gate.expand_as(x)
        return y


class Indexed(Linears):
    """The mean without a pooling layer, the gate indexed, and the product turned round."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.mean((2, 3)))[:, :, None, None] * x
        return y


class Squeezed(Linears):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.layers(self.pool(x).squeeze(-1).squeeze(-1)).unsqueeze(-1).unsqueeze(-1)
        return y


class Products(nn.Module):
    """Weights (in, out), and products written out; the second bias comes first."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((CHANNELS, HIDDEN), (HIDDEN,), (HIDDEN, CHANNELS), (CHANNELS,))
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(*shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        w1, b1, w2, b2 = self.weights
        return x * torch.sigmoid(b2 + torch.relu(x.mean((2, 3)) @ w1 + b1) @ w2)[:, :, None, None]


class BareProducts(Products):
    """The same without biases."""

    def forward(self, x: Tensor) -> Tensor:
        w1, _, w2, _ = self.weights
        return x * torch.sigmoid(torch.relu(x.mean((2, 3)) @ w1) @ w2)[:, :, None, None]


def hard_sigmoid_by_hand(x: Tensor) -> Tensor:
    """As in most repositories of MobileNetV3."""
    return F.relu6(x + 3) / 6


FORMS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": Convolutions,
    "linears": Linears,
    "no_bias": lambda: Linears(bias=False),
    "indexed": Indexed,
    "squeezed": Squeezed,
    "products": Products,
    "bare_products": BareProducts,
    "silu": lambda: Convolutions(F.silu),
    "sigmoid_times_itself": lambda: Convolutions(lambda x: torch.sigmoid(x) * x),
    "hard_swish": lambda: Convolutions(F.hardswish),
    "hard_swish_by_hand": lambda: Convolutions(lambda x: x * hard_sigmoid_by_hand(x)),
    "hard_sigmoid": lambda: Convolutions(gate=F.hardsigmoid),
    "hard_sigmoid_by_hand": lambda: Convolutions(gate=hard_sigmoid_by_hand),
    "silu_and_hard_sigmoid": lambda: Convolutions(F.silu, F.hardsigmoid),
    "hard_swish_and_hard_sigmoid": lambda: Convolutions(F.hardswish, hard_sigmoid_by_hand),
}


class Other(nn.Module):
    """Two linear layers, and what the case makes of them and x."""

    def __init__(self, forward: Callable[[Other, Tensor], Tensor]) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, CHANNELS)
        self._forward = forward

    def gate(self, pooled: Tensor) -> Tensor:
        return torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def _gate_read_twice(block: Other, x: Tensor) -> Tensor:
    gate = block.gate(x.mean((2, 3)))
    return x * gate + gate


NEAR: dict[str, Callable[[], nn.Module]] = {
    "GELU": lambda: Convolutions(F.gelu),
    "hard_sigmoid_in_the_middle": lambda: Convolutions(F.hardsigmoid),
    "hard_sigmoid_of_another_range": lambda: Convolutions(gate=lambda x: F.relu6(x + 2) / 6),
    "twice_the_gate": lambda: Convolutions(gate=lambda x: 2 * torch.sigmoid(x)),
    "maximum": lambda: Other(lambda block, x: x * block.gate(x.amax((2, 3)))),
    "mean_over_rows_of_pixels": lambda: Other(lambda block, x: x * block.gate(x.mean((1, 2)))),
    "gate_of_another_map": lambda: Other(lambda block, x: x * block.gate((x * x).mean((2, 3)))),
    "gate_of_columns": lambda: Other(lambda block, x: x * block.gate(x.mean((2, 3))).permute(0, 2, 3, 1)),
    "gate_read_twice": lambda: Other(_gate_read_twice),
}
"""What is something else; the map is as wide as it has channels, so that shapes alone do not tell."""


def in_a_row(blocks: Mapping[str, Callable[[], nn.Module]]) -> nn.Module:
    """One network of them all, each in a module of its name."""
    torch.manual_seed(0)
    network = nn.Sequential()
    for name, make in blocks.items():
        network.add_module(name, make())
    return network.eval()


class PlainResidual(nn.Module):
    """(N, 3, H, W) -> (N, 2): residual blocks that end in such blocks, and one such block that ends nothing."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.branches = nn.ModuleList(nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), b) for b in blocks)
        self.last, self.classify = Convolutions(), nn.Linear(CHANNELS, 2)

    def forward(self, picture: Tensor) -> Tensor:
        x = self.stem(picture)
        for branch in self.branches:
            x = F.relu(branch(x) + x)
        logits: Tensor = self.classify(self.last(x).mean((2, 3)))
        return logits


def plain_network() -> nn.Module:
    """Two residual blocks of different kinds and a block of its own."""
    torch.manual_seed(0)
    return PlainResidual(Linears(), Convolutions()).eval()
