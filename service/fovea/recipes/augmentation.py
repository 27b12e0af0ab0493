"""From stored images to network input: normalise, and for training shift and mirror."""

from __future__ import annotations

import torch
from torch import Tensor

from fovea.contract.input_steps import Preprocessing
from fovea.inputs.picture_steps import pixel_rows
from fovea.recipes.recipe import Schedule


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, H, W) uint8 -> (N, 1, H, W) float32, as the server makes them of pictures of that size."""
    return torch.from_numpy(pixel_rows(pixels.numpy()[..., None], preprocessing.steps))


def augment(pixels: Tensor, schedule: Schedule, generator: torch.Generator) -> Tensor:
    """(N, H, W) -> the same shape, each image moved by up to `max_shift` and mirrored or not; nought comes in."""
    rows, height, width = pixels.shape
    margin = schedule.max_shift
    padded = torch.nn.functional.pad(pixels, (margin, margin, margin, margin))
    top, left = torch.randint(0, 2 * margin + 1, (2, rows, 1), generator=generator)
    columns = torch.arange(width).expand(rows, width)
    if schedule.flip:
        mirrored = torch.randint(0, 2, (rows, 1), generator=generator).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    lines = torch.arange(height).expand(rows, height) + top
    image = torch.arange(rows)[:, None, None]
    return padded[image, lines[:, :, None], (columns + left)[:, None, :]]
