"""Scenes: where digits lie, and what clutter is."""

from __future__ import annotations

import torch

from fovea.recipes.digits.glimpsing import scenes_of
from fovea.recipes.digits.scenes import PIECE_SIDE, PIECES, SIDE, cluttered, translated

DIGITS = torch.randint(1, 256, (40, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_digit_is_all_there_at_a_place_of_its_own() -> None:
    scenes = translated(DIGITS, drawn())
    assert scenes.shape == (40, SIDE, SIDE)
    corners = [tuple(scene.nonzero().min(0).values.tolist()) for scene in scenes]
    for scene, digit, (top, left) in zip(scenes, DIGITS, corners, strict=True):
        assert torch.equal(scene[top : top + 28, left : left + 28], digit)
        assert (scene > 0).sum() == 28 * 28
    assert len(set(corners)) > 30


def test_clutter_adds_small_pieces_and_takes_nothing_away() -> None:
    scenes = translated(DIGITS, drawn())
    among = cluttered(scenes, DIGITS, drawn(1))
    assert (among >= scenes).all()
    added = ((among > 0) & (scenes == 0)).sum((1, 2))
    assert 0 < added.max() <= PIECES * PIECE_SIDE**2


def test_test_scenes_are_the_same_every_time() -> None:
    first, again = scenes_of(DIGITS.numpy()), scenes_of(DIGITS.numpy())
    assert all(map(torch.equal, first, again))
