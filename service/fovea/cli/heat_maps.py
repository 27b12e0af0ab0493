"""Attention maps as heat maps over their pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.contract.errors import InvalidRequest

SHORT_SIDE_PIXELS = 448
"""A 28-pixel picture is drawn this large, so that its map can be read."""
MAP_OPACITY = 0.6
_ANCHORS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float64)
"""Dark violet to pale yellow: lightness grows with the value, so it reads in grey and for the colour-blind."""


def heat(values: NDArray[Any]) -> NDArray[np.float64]:
    """An attention map of one row as a plane in [0, 1], brightest where attention is strongest.

    (C,) channel gates: a line of one cell a channel. (C, H, W) weights: the mean over channels. (T, S) memory
    attention: each position's strongest slot. (heads, Tq, Tk) probabilities: how much each key is attended to.
    """
    plane = _plane(np.asarray(values, np.float64))
    low, high = plane.min(), plane.max()
    spread: NDArray[np.float64] = (plane - low) / (high - low) if high > low else np.zeros_like(plane)
    return spread


def lines_of_picture(gates: NDArray[Any], *, rows: bool) -> NDArray[Any]:
    """Gates (C, H) of a picture's rows, or (C, W) of its columns, as planes that are one wide, or one high."""
    return gates[:, :, None] if rows else gates[:, None]


def enlarged(picture: Image.Image) -> Image.Image:
    """The picture in RGB, so large that it can be read."""
    factor = max(1, math.ceil(SHORT_SIDE_PIXELS / min(picture.size)))
    return picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def overlay(picture: Image.Image, values: NDArray[Any]) -> Image.Image:
    """The picture, enlarged until it can be read, with the map over it (channel gates: as bars below it)."""
    base = enlarged(picture)
    if np.ndim(values) == 1:
        return _with_bars(base, values)
    colours = coloured(heat(values))
    return Image.blend(base, colours.resize(base.size, Image.Resampling.BICUBIC), MAP_OPACITY)


def coloured(plane: NDArray[np.float64]) -> Image.Image:
    """A plane in [0, 1] as an RGB picture of the same size."""
    stops = np.linspace(0, 1, len(_ANCHORS))
    channels = [np.interp(plane, stops, _ANCHORS[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8), "RGB")


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


def _with_bars(base: Image.Image, gates: NDArray[Any]) -> Image.Image:
    """Below the picture a bar for each channel, as high as its gate is open: 1 is the whole height."""
    height = base.height // 4
    channel = np.arange(base.width) * len(gates) // base.width
    lit = np.arange(height, 0, -1)[:, None] <= np.asarray(gates, np.float64)[channel] * height
    bars = coloured(np.where(lit, 0.25 + 0.75 * np.clip(gates, 0, 1)[channel], 0.0))
    joined = Image.new("RGB", (base.width, base.height + height))
    joined.paste(base, (0, 0))
    joined.paste(bars, (0, base.height))
    return joined
