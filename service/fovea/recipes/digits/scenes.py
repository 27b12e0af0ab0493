"""A digit somewhere in a larger picture, alone or among pieces of other digits (Mnih et al. 2014, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE = 60
PIECES, PIECE_SIDE = 4, 8
"""Clutter as in the paper's pictures of this size."""


def translated(digits: Tensor, generator: torch.Generator) -> Tensor:
    """(N, h, w) uint8 -> (N, SIDE, SIDE), each at a random place on black."""
    return _placed(digits.new_zeros(len(digits), SIDE, SIDE), digits, generator)


def cluttered(scenes: Tensor, digits: Tensor, generator: torch.Generator) -> Tensor:
    """Scenes with pieces of `digits`, any number of them, at random places. What is brighter is in front."""
    for _ in range(PIECES):
        others = digits[torch.randint(len(digits), (len(scenes),), generator=generator)]
        scenes = _placed(scenes, _pieces(others, generator), generator)
    return scenes


def _pieces(digits: Tensor, generator: torch.Generator) -> Tensor:
    """A square of each, anywhere within."""
    lines, columns = (_stretch(len(digits), size, PIECE_SIDE, generator) for size in digits.shape[1:])
    return digits[torch.arange(len(digits))[:, None, None], lines[:, :, None], columns[:, None, :]]


def _placed(scenes: Tensor, pieces: Tensor, generator: torch.Generator) -> Tensor:
    """Each piece at a random place of its scene."""
    sizes = zip(scenes.shape[1:], pieces.shape[1:], strict=True)
    lines, columns = (_stretch(len(scenes), whole, part, generator) for whole, part in sizes)
    layer = torch.zeros_like(scenes)
    layer[torch.arange(len(scenes))[:, None, None], lines[:, :, None], columns[:, None, :]] = pieces
    return torch.maximum(scenes, layer)


def _stretch(rows: int, whole: int, part: int, generator: torch.Generator) -> Tensor:
    """(rows, part): as many neighbouring places out of `whole`, for each row others."""
    return torch.randint(whole - part + 1, (rows, 1), generator=generator) + torch.arange(part)
