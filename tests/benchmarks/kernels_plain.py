"""The opponents: each block in ordinary torch operators, as a user would write it and torch exports it.

Parameters bear the names of Fovea's module, so that both sides run with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.squeeze_excitation import hidden_units
from fovea.contract.attention import AttentionType


class PlainSqueezeExcitation(nn.Module):
    """Hu et al. 2018."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = hidden_units(channels, reduction)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def scores(self, pooled: Tensor) -> Tensor:
        """(N, C) -> (N, C), before the sigmoid."""
        scores: Tensor = self.excite(F.relu(self.squeeze(pooled)))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.scores(x.mean(dim=(2, 3))))
        return x * gate[:, :, None, None]


class PlainSqueezeOnly(nn.Module):
    """The gate straight from the mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean(dim=(2, 3), keepdim=True))


class PlainEfficientChannel(nn.Module):
    """Wang et al. 2020, their published code."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)  # (N, 1, C)
        return x * torch.sigmoid(self.conv(pooled).transpose(-1, -2).unsqueeze(-1))


class PlainCoordinate(nn.Module):
    """Hou et al. 2021, with linear layers where their code has convolutions of size 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 32, 8)
        self.squeeze, self.norm = nn.Linear(channels, hidden), nn.BatchNorm1d(hidden)
        self.rows, self.columns = nn.Linear(hidden, channels), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        means = torch.cat([x.mean(dim=3), x.mean(dim=2)], dim=2).transpose(1, 2)  # (N, H + W, C)
        hidden = F.hardswish(self.norm(self.squeeze(means).transpose(1, 2))).transpose(1, 2)
        of_rows, of_columns = hidden.split([x.shape[2], x.shape[3]], dim=1)
        rows = torch.sigmoid(self.rows(of_rows)).transpose(1, 2)[:, :, :, None]
        columns = torch.sigmoid(self.columns(of_columns)).transpose(1, 2)[:, :, None]
        return x * rows * columns


class PlainGate(nn.Module):
    """x · sigmoid(scores)"""

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        return x * torch.sigmoid(r)


class PlainMaxPool(nn.Module):
    """What a pooling layer passes, where it was."""

    def forward(self, x: Tensor) -> Tensor:
        best = F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0, mode="nearest")
        return x * (x == best).to(x.dtype)


class PlainSpatial(nn.Module):
    """Woo et al. 2018, the spatial half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))


class PlainCBAM(PlainSqueezeExcitation):
    """Woo et al. 2018."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.spatial = PlainSpatial()

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.scores(x.mean(dim=(2, 3))) + self.scores(x.amax(dim=(2, 3))))
        weighed: Tensor = self.spatial(x * gate[:, :, None, None])
        return weighed


class PlainSimAM(nn.Module):
    """Yang et al. 2021, their published code."""

    def forward(self, x: Tensor) -> Tensor:
        neighbours = x.shape[2] * x.shape[3] - 1
        deviation = (x - x.mean(dim=(2, 3), keepdim=True)).pow(2)
        variance = deviation.sum(dim=(2, 3), keepdim=True) / neighbours
        return x * torch.sigmoid(deviation / (4 * (variance + 1e-4)) + 0.5)


class PlainExternal(nn.Module):
    """Guo et al. 2021, on tokens."""

    def __init__(self, width: int, slots: int = 64) -> None:
        super().__init__()
        self.memory_key = nn.Parameter(torch.randn(slots, width) * width**-0.5)
        self.memory_value = nn.Parameter(torch.randn(slots, width) * slots**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        attention = torch.softmax(x @ self.memory_key.t(), dim=1)
        attention = attention / (1e-9 + attention.sum(dim=2, keepdim=True))
        return attention @ self.memory_value


class PlainAdditive(nn.Module):
    """Bahdanau et al. 2015, after the projections; v is the linear layer of one output that tutorials have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.randn(width) * width**-0.5)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = F.linear(torch.tanh(q[:, :, None] + k[:, None]), self.v[None]).squeeze(-1)  # (B, Tq, Tk)
        return torch.softmax(scores, dim=-1) @ v


class PlainDistance(nn.Module):
    """A Gaussian kernel of bandwidth 1, as the formula has it."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        distance = (q[:, :, None] - k[:, None]).square().sum(dim=-1)  # (B, Tq, Tk)
        return torch.softmax(-0.5 * distance, dim=-1) @ v


class PlainDistanceCdist(nn.Module):
    """The same through `torch.cdist`, which torch exports as |q|² + |k|² - 2 q·k: quicker, and less exact."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(-0.5 * torch.cdist(q, k).square(), dim=-1) @ v


class PlainDot(nn.Module):
    """Vaswani et al. 2017, one head."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.transpose(1, 2) * q.shape[-1] ** -0.5, dim=-1) @ v


class PlainHard(nn.Module):
    """Xu et al. 2015, the most probable key."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        chosen = (q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).argmax(dim=-1)  # (B, Tq)
        return v.gather(1, chosen[..., None].expand(-1, -1, v.shape[2]))


class PlainBilinear(nn.Module):
    """Luong et al. 2015, "general"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) / width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ self.weight @ k.transpose(1, 2), dim=-1) @ v


PLAIN: dict[AttentionType, Callable[[int], nn.Module]] = {
    AttentionType.NONE: lambda _channels: nn.Identity(),
    AttentionType.SQUEEZE_EXCITATION: PlainSqueezeExcitation,
    AttentionType.SPATIAL: lambda _channels: PlainSpatial(),
    AttentionType.CBAM: PlainCBAM,
    AttentionType.SIMAM: lambda _channels: PlainSimAM(),
}
"""As `fovea.attention.factory.FEATURE_MAP_ATTENTION`, for a network without Fovea."""
