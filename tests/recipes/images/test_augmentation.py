"""What becomes of training images at random."""

from __future__ import annotations

import torch

from fovea.recipes.images.augmentation import Augmentation, augment


def test_augmentation_moves_a_pixel_no_further_than_allowed() -> None:
    pixels = torch.zeros(200, 9, 9, dtype=torch.uint8)
    pixels[:, 4, 4] = 255
    moved = augment(pixels, Augmentation(max_shift=2, flip=True), torch.Generator().manual_seed(0))
    _, line, column = moved.nonzero(as_tuple=True)
    assert set(line.tolist()) == set(column.tolist()) == {2, 3, 4, 5, 6}


def test_augmentation_mirrors_about_half_of_the_images() -> None:
    pixels = torch.tensor([[[1, 2, 3]]], dtype=torch.uint8).expand(200, 1, 3)
    mirrored = augment(pixels, Augmentation(flip=True), torch.Generator().manual_seed(0))[:, 0].tolist()
    assert 70 < mirrored.count([3, 2, 1]) < 130
    assert mirrored.count([3, 2, 1]) + mirrored.count([1, 2, 3]) == 200
