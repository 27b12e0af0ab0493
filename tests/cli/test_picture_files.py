"""Pictures from files, maps to heat maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.cli.heat_maps import coloured, heat, lines_of_picture, overlay
from fovea.cli.picture_files import read_picture
from fovea.contract.errors import InvalidRequest


def stored(picture: Image.Image, tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    picture.save(path)
    return path


def test_a_sixteen_bit_picture_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    half = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    assert read_picture(stored(half, tmp_path)).getpixel((0, 0)) == pytest.approx(128, abs=1)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert read_picture(path).size == (20, 40)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = stored(Image.effect_noise((64, 64), 50), tmp_path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InvalidRequest, match=r"picture\.png"):
        read_picture(path)


@pytest.mark.parametrize(
    ("shape", "plane"),
    [
        ((8,), (1, 8)),
        ((1, 7, 7), (7, 7)),
        ((16, 5, 6), (5, 6)),
        ((49, 64), (7, 7)),
        ((50, 64), (7, 7)),
        ((12, 3), (1, 12)),
    ],
)
def test_a_map_of_each_kind_becomes_a_plane(shape: tuple[int, ...], plane: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape)
    assert heat(values).shape == plane
    assert (heat(values).min(), heat(values).max()) == (0.0, 1.0)


def test_the_key_that_everything_attends_to_is_brightest() -> None:
    probabilities = np.zeros((2, 9, 9))
    probabilities[:, :, 5] = 1.0
    assert heat(probabilities).argmax() == 5
    assert heat(probabilities).shape == (3, 3)


@pytest.mark.parametrize("tokens", [49, 50])
def test_patches_are_laid_out_row_by_row_with_a_class_token_left_out(tokens: int) -> None:
    values = np.zeros((tokens, 3))
    values[tokens - 49 + 9, 1] = 1.0
    assert np.argwhere(heat(values)).tolist() == [[1, 2]]


def test_planes_of_several_channels_are_averaged_where_they_are() -> None:
    values = np.zeros((3, 5, 6))
    values[:, 1, 4] = (0.1, 0.3, 0.2)
    assert np.argwhere(heat(values)).tolist() == [[1, 4]]


@pytest.mark.parametrize("strongest", [0, 3, 7])
def test_channel_gates_are_bars_below_the_picture_in_their_order(strongest: int) -> None:
    gates = np.zeros(8)
    gates[strongest] = 1.0
    drawn = overlay(Image.new("L", (32, 32), 100), gates).convert("L")
    strip = np.asarray(drawn.crop((0, drawn.width, drawn.width, drawn.height)).resize((8, 1), Image.Resampling.BOX))
    assert strip.argmax() == strongest
    assert drawn.getpixel((5, 5)) == 100


def test_a_bar_is_as_high_as_its_gate_is_open() -> None:
    drawn = overlay(Image.new("L", (32, 32), 100), np.array([1.0, 0.5, 0.25, 0.0])).convert("L")
    bars = np.asarray(drawn.crop((0, drawn.width, drawn.width, drawn.height)), np.int64)
    dark = coloured(np.zeros((1, 1))).convert("L").getpixel((0, 0))
    heights = (bars[:, bars.shape[1] // 8 :: bars.shape[1] // 4] > dark).mean(0)
    np.testing.assert_allclose(heights, [1.0, 0.5, 0.25, 0.0], atol=0.02)


@pytest.mark.parametrize("rows", [True, False])
def test_gates_of_rows_lie_across_the_picture_and_those_of_columns_along_it(rows: bool) -> None:
    gates = np.zeros((3, 4))
    gates[:, 1] = 1.0
    picture = overlay(Image.new("L", (32, 32), 100), lines_of_picture(gates, rows=rows))
    drawn = np.asarray(picture.convert("L"), np.int64)
    along = drawn if rows else drawn.T
    assert (along == along[:, :1]).all()
    assert along[:, 0].argmax() * 4 // len(along) == 1


def test_a_map_that_is_the_same_everywhere_is_dark() -> None:
    assert not heat(np.ones((1, 4, 4))).any()


def test_a_map_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="cannot be drawn"):
        heat(np.ones((2, 2, 2, 2)))


def test_more_attention_is_lighter() -> None:
    lightness = np.asarray(coloured(np.linspace(0, 1, 64)[None]).convert("L"), np.int64)[0]
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 200
