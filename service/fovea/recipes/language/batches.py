"""Rows of token ids of any length as tensors: filled up, with a mask, those of about one length together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.inputs.text_maker import data_mask

Row = NDArray[np.int64]
_ROWS = 64
"""Of a part: in parts of rows of one length a batch of 256 has a third of the filling that it has as a whole."""


def filled(rows: Sequence[Row], pad: int) -> tuple[Tensor, Tensor]:
    """tokens (N, longest T) int64 and mask (N, longest T) bool."""
    mask = data_mask(rows)
    tokens = np.full(mask.shape, pad, np.int64)
    tokens[mask] = np.concatenate(rows)
    return torch.from_numpy(tokens), torch.from_numpy(mask)


def by_length(rows: Sequence[Row]) -> Iterator[list[int]]:
    """The places of all rows, the shortest first, a few at a time."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]
