"""Coordinate attention (Hou et al. 2021, arXiv:2103.02907).

p = [mean over the width; mean over the height] of x, h = hard_swish(norm(W1 p + b1)),
rows = sigmoid(Wr h + br) of the first part, columns = sigmoid(Wc h + bc) of the second, y = x · rows · columns;
x (N, C, H, W), p (N, C, H + W), rows (N, C, H), columns (N, C, W).
Differs from the paper's code in form only: outside of training the batch normalisation is folded into W1 and b1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.registration import operator

LEAST_HIDDEN = 8
"""As in the authors' code."""


@operator("CoordinateAttention")
def coordinate_attention(
    x: Tensor, w1: Tensor, b1: Tensor, wr: Tensor, br: Tensor, wc: Tensor, bc: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows = sigmoid(wr h + br), Columns = sigmoid(wc h + bc), h = hard_swish(w1 p + b1), Y = x · Rows · Columns.

    x (N, C, H, W), w1 (C/r, C), wr and wc (C, C/r) -> Y as x, Rows (N, C, H), Columns (N, C, W); p holds the means of
    the rows and of the columns of each plane.
    """
    return _weighed(x, F.linear(_means(x), w1, b1), (wr, br), (wc, bc))


def _means(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H + W, C)."""
    return torch.cat([x.mean(dim=3), x.mean(dim=2)], dim=2).transpose(1, 2)


def _weighed(
    x: Tensor, squeezed: Tensor, of_rows: tuple[Tensor, Tensor], of_columns: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """`squeezed` (N, H + W, C/r), before the activation; of both, weights and bias."""
    hidden = F.hardswish(squeezed)
    height = x.shape[2]
    rows = torch.sigmoid(F.linear(hidden[:, :height], *of_rows)).transpose(1, 2)  # (N, C, H)
    columns = torch.sigmoid(F.linear(hidden[:, height:], *of_columns)).transpose(1, 2)  # (N, C, W)
    return x * rows[:, :, :, None] * columns[:, :, None, :], rows.contiguous(), columns.contiguous()


class CoordinateAttention(nn.Module):
    """Weighs channels, each by row and by column: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int, reduction: int = 32) -> None:
        super().__init__()
        hidden = max(channels // reduction, LEAST_HIDDEN)
        self.squeeze = nn.Linear(channels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.rows = nn.Linear(hidden, channels)
        self.columns = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, return_attention: bool = False) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """y, or (y, rows (N, C, H), columns (N, C, W)), both in (0, 1)."""
        of_rows, of_columns = ((layer.weight, layer.bias) for layer in (self.rows, self.columns))
        if self.training:
            y, rows, columns = _weighed(x, self._normalised(x), of_rows, of_columns)
        else:
            y, rows, columns = torch.ops.fovea.coordinate_attention(x, *self._folded(), *of_rows, *of_columns)
        return (y, rows, columns) if return_attention else y

    def _normalised(self, x: Tensor) -> Tensor:
        """By this batch's own statistics. Like the operator, not in half precision."""
        with torch.autocast(x.device.type, enabled=False):
            squeezed = self.squeeze(_means(x.to(self.squeeze.weight.dtype)))  # (N, H + W, C/r)
            normalised: Tensor = self.norm(squeezed.transpose(1, 2)).transpose(1, 2)
        return normalised

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias of the squeezing layer and the normalisation in one."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return self.squeeze.weight * scale[:, None], (self.squeeze.bias - norm.running_mean) * scale + norm.bias
