"""The path of glimpses over a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fovea.cli.glimpse_paths import is_path, with_path

BLACK = Image.new("L", (60, 60))


def test_each_place_is_marked_where_it_is_in_the_picture() -> None:
    drawn = with_path(BLACK, np.array([[0, 0], [-0.8, 0.5]]))
    side = drawn.width
    assert drawn.getpixel((side // 2, side // 2)) != (0, 0, 0)
    assert drawn.getpixel((round(0.1 * side), round(0.75 * side))) != (0, 0, 0)
    assert drawn.getpixel((round(0.9 * side), round(0.25 * side))) == (0, 0, 0)


def test_places_are_joined_and_later_ones_are_lighter() -> None:
    drawn = with_path(BLACK, np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5]])).convert("L")
    side = drawn.width
    assert drawn.getpixel((side // 2, side // 4)) > 0
    assert drawn.getpixel((3 * side // 4, 3 * side // 4)) > drawn.getpixel((side // 4, side // 4))


@pytest.mark.parametrize(
    ("attention", "shape", "path"),
    [
        ("hard_sample", (-1, 6, 2), True),
        ("hard_sample", (-1, 6), False),
        ("external", (-1, 49, 2), False),
        ("hard_sample", (-1, 1, 7, 7), False),
    ],
)
def test_a_path_is_a_drawn_map_of_columns_and_rows(attention: str, shape: tuple[int, ...], path: bool) -> None:
    assert is_path(attention, shape) is path
