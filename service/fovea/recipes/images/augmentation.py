"""Random changes of training images: moved and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What may become of a training image; nothing, as it stands."""

    max_shift: int = 0
    """Pixels that it is moved, at most, each way."""
    flip: bool = False
    """Mirror every second one, left to right."""


NOTHING = Augmentation()


def augment(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """(N, H, W) -> the same shape, each image moved by up to `max_shift` and mirrored or not; nought comes in."""
    rows, height, width = pixels.shape
    margin = augmentation.max_shift
    padded = torch.nn.functional.pad(pixels, (margin, margin, margin, margin))
    top, left = torch.randint(0, 2 * margin + 1, (2, rows, 1), generator=generator)
    columns = torch.arange(width).expand(rows, width)
    if augmentation.flip:
        mirrored = torch.randint(0, 2, (rows, 1), generator=generator).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    lines = torch.arange(height).expand(rows, height) + top
    image = torch.arange(rows)[:, None, None]
    return padded[image, lines[:, :, None], (columns + left)[:, None, :]]
