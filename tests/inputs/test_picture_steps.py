"""The steps that make tensors of pictures: each by itself, and as the short form of a card lists them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.contract.step_kinds import DecodePicture, Step
from fovea.inputs.picture_steps import ON_PICTURES, ON_PIXELS, flattened, picture_row, pixel_rows

GREY = Preprocessing(mode="L", height=2, width=3, mean=(0.5,), std=(0.25,)).steps
COLOUR = Preprocessing(mode="RGB", height=2, width=2, mean=(0.5, 0.4, 0.3), std=(1.0, 1.0, 1.0)).steps


def steps(*more: dict[str, Any], mode: str = "L") -> InputSteps:
    """Steps of a card that say how a picture is sized; bytes stay as they are."""
    listed = [{"step": "picture"}, {"step": "channels", "mode": mode}, *more, {"step": "scale", "divisor": 1}]
    return InputSteps.model_validate(listed)


def test_pixels_are_scaled_then_normalised() -> None:
    row = picture_row(Image.new("L", (3, 2), 255), GREY)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, np.full((1, 1, 2, 3), 2.0), rtol=1e-6)


def test_each_colour_has_its_own_mean() -> None:
    row = picture_row(Image.new("RGB", (2, 2), (255, 0, 0)), COLOUR)
    np.testing.assert_allclose(row[0, :, 0, 0], [0.5, -0.4, -0.3], rtol=1e-6)


def test_what_cannot_be_seen_counts_as_the_mean() -> None:
    row = picture_row(Image.new("RGBA", (5, 5), (255, 255, 255, 0)), GREY)
    np.testing.assert_allclose(row, np.zeros((1, 1, 2, 3)), atol=4 / 255)


def test_pictures_of_the_models_size_are_the_same_rows_one_by_one_and_all_at_once() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 1), np.uint8)
    one_by_one = [picture_row(Image.fromarray(picture[..., 0]), GREY) for picture in pixels]
    np.testing.assert_array_equal(pixel_rows(pixels, GREY), np.concatenate(one_by_one))


def test_a_large_transparent_picture_is_flattened_as_if_it_were_done_at_once() -> None:
    rng = np.random.default_rng(3)
    large = Image.fromarray(rng.integers(0, 256, (1500, 1501, 4), np.uint8), "RGBA")
    whole = Image.alpha_composite(Image.new("RGBA", large.size, (128, 128, 128, 255)), large).convert("RGB")
    background = DecodePicture(background=(128, 128, 128))
    np.testing.assert_array_equal(np.asarray(flattened(large, background)), np.asarray(whole))


COLUMNS = np.arange(0, 240, 10, dtype=np.uint8)[None].repeat(8, 0)
"""8 high and 24 wide; each column of its own grey."""


@pytest.mark.parametrize(
    ("sizing", "columns"),
    [
        ([{"step": "resize", "height": 8, "width": 8, "filter": "nearest"}], range(1, 24, 3)),
        ([{"step": "resize", "height": 8, "width": 8, "fit": "cover"}], range(8, 16)),
        ([{"step": "resize", "height": 8, "width": 24}, {"step": "crop", "height": 8, "width": 4}], range(10, 14)),
    ],
)
def test_a_picture_is_stretched_covered_or_cropped_to_size(sizing: list[dict[str, Any]], columns: range) -> None:
    row = picture_row(Image.fromarray(COLUMNS), steps(*sizing))
    assert row.shape == (1, 1, 8, len(columns))
    np.testing.assert_array_equal(row[0, 0], COLUMNS[:, list(columns)])


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (3, 2)])
def test_covering_takes_no_more_memory_than_the_size_it_makes(size: tuple[int, int]) -> None:
    row = picture_row(Image.new("L", size, 7), steps({"step": "resize", "height": 500, "width": 400, "fit": "cover"}))
    np.testing.assert_array_equal(row, np.full((1, 1, 500, 400), 7))


def test_every_step_of_a_card_has_its_function() -> None:
    known = {
        kind for kind in get_args(get_args(Step)[0]) if kind.takes == "picture" or kind.gives in ("picture", "pixels")
    }
    assert set(ON_PICTURES) | set(ON_PIXELS) == known
