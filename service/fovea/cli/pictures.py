"""Pictures and arrays: any picture file to a model's input, an attention map to a heat map over the picture."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import Preprocessing

SHORT_SIDE_PIXELS = 448
"""A 28-pixel picture is drawn this large, so that its map can be read."""
MAP_OPACITY = 0.6
_ANCHORS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)
"""Dark violet to pale yellow: lightness grows with the value, so it reads in grey and for the colour-blind."""


def read_picture(path: Path) -> Image.Image:
    """Load a picture upright, as L, RGB or RGBA with 8 bits a channel; InvalidRequest where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _eight_bits(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise InvalidRequest(f"{path} is no picture that can be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequest(f"{path} has too many pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"{path}: {reason}") from error


def to_tensor(picture: Image.Image, facts: Preprocessing) -> NDArray[np.float32]:
    """A picture as one row: (1, channels, height, width), normalised as the model's card says."""
    mean, std = (np.array(values, np.float32) for values in (facts.mean, facts.std))
    flat = flattened(picture, facts).convert(facts.mode)
    sized = flat.resize((facts.width, facts.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(sized, np.float32).reshape(facts.height, facts.width, -1) / np.float32(255)
    row: NDArray[np.float32] = np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1)[None])
    return row


def flattened(picture: Image.Image, facts: Preprocessing) -> Image.Image:
    """The picture without transparency: what cannot be seen becomes the mean colour, which the model reads as zero."""
    if picture.mode != "RGBA":
        return picture
    mean = [round(255 * value) for value in facts.mean]
    background = Image.new("RGBA", picture.size, (*(mean * 3)[:3], 255))
    return Image.alpha_composite(background, picture).convert("RGB")


def heat(values: NDArray[Any]) -> NDArray[np.float64]:
    """An attention map of one row as a plane in [0, 1], brightest where attention is strongest.

    (C,) channel gates: a strip of one cell a channel. (C, H, W) weights: the mean over channels. (T, S) memory
    attention: each position's strongest slot. (heads, Tq, Tk) probabilities: how much each key is attended to.
    """
    plane = _plane(np.asarray(values, np.float64))
    low, high = plane.min(), plane.max()
    spread: NDArray[np.float64] = (plane - low) / (high - low) if high > low else np.zeros_like(plane)
    return spread


def overlay(picture: Image.Image, values: NDArray[Any]) -> Image.Image:
    """The picture, enlarged until it can be read, with the map over it (channel gates: in a strip below it)."""
    factor = max(1, math.ceil(SHORT_SIDE_PIXELS / min(picture.size)))
    base = picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    colours = coloured(heat(values))
    if np.ndim(values) == 1:
        return _with_strip(base, colours)
    return Image.blend(base, colours.resize(base.size, Image.Resampling.BICUBIC), MAP_OPACITY)


def coloured(plane: NDArray[np.float64]) -> Image.Image:
    """A plane in [0, 1] as an RGB picture of the same size."""
    stops = np.linspace(0, 1, len(_ANCHORS))
    channels = [np.interp(plane, stops, _ANCHORS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8), "RGB")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write it in the format that the name's ending tells; InvalidRequest where that cannot be done."""
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16-bit and float pictures: Pillow would clip, not scale
        values = np.asarray(image, np.float64)
        top = 65535.0 if image.mode.startswith("I;16") else max(values.max(), 1e-12)
        return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8), "L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _plane(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if values.ndim == 1:
        return values[None]
    if values.ndim == 2:
        return _square(values.max(axis=1))
    if values.ndim == 3 and values.shape[1] == values.shape[2] and _is_attention(values):
        return _square(values.mean(axis=(0, 1)))
    if values.ndim == 3:
        plane: NDArray[np.float64] = values.mean(axis=0)
        return plane
    raise InvalidRequest(f"a map of shape {values.shape} a row cannot be drawn")


def _is_attention(values: NDArray[np.float64]) -> bool:
    """Whether every row of the last axis sums to one: probabilities of keys, not weights of a plane."""
    return bool(values.shape[2] > 1 and np.allclose(values.sum(axis=2), 1.0, atol=1e-3))


def _square(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector of tokens as the square of patches they were cut from; a class token in front is left out."""
    for patches in (tokens, tokens[1:]):
        side = math.isqrt(len(patches))
        if side and side * side == len(patches):
            return patches.reshape(side, side)
    return tokens[None]


def _with_strip(base: Image.Image, colours: Image.Image) -> Image.Image:
    strip = colours.resize((base.width, base.height // 8), Image.Resampling.NEAREST)
    joined = Image.new("RGB", (base.width, base.height + strip.height))
    joined.paste(base, (0, 0))
    joined.paste(strip, (0, base.height))
    return joined
