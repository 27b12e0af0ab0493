"""The steps of a card that make tensors of pictures, each a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.contract.input_steps import InputSteps
from fovea.contract.step_kinds import ConvertChannels, Crop, DecodePicture, Normalise, Resize, Scale

Pixels = NDArray[np.float32]
_STRIP_PIXELS = 1 << 18


def picture_row(picture: Image.Image, steps: InputSteps) -> Pixels:
    """A picture, as `open_picture` gives it, as one row: (1, channels, height, width)."""
    for step in steps.root:
        if (change := ON_PICTURES.get(type(step))) is not None:
            picture = change(picture, step)
    return pixel_rows(np.asarray(picture).reshape(1, picture.height, picture.width, -1), steps)


def pixel_rows(pictures: NDArray[np.uint8], steps: InputSteps) -> Pixels:
    """Pictures of the model's size and channels, (N, height, width, channels), as rows (N, channels, height, width)."""
    pixels: Pixels = pictures.astype(np.float32)
    for step in steps.root:
        if (change := ON_PIXELS.get(type(step))) is not None:
            pixels = change(pixels, step)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def flattened(picture: Image.Image, step: DecodePicture) -> Image.Image:
    """The picture without transparency: what cannot be seen becomes the background."""
    if picture.mode != "RGBA":
        return picture
    colour = (*step.background, 255)
    flat = Image.new("RGB", picture.size)
    rows = max(1, _STRIP_PIXELS // picture.width)  # at a time: while Pillow lays them over, no other thread runs
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        flat.paste(Image.alpha_composite(Image.new("RGBA", strip.size, colour), strip).convert("RGB"), (0, top))
    return flat


def _converted(picture: Image.Image, step: ConvertChannels) -> Image.Image:
    return picture.convert(step.mode)


def _resized(picture: Image.Image, step: Resize) -> Image.Image:
    box = _centre(picture, step) if step.fit == "cover" else None
    return picture.resize((step.width, step.height), Image.Resampling[step.filter.upper()], box)


def _centre(picture: Image.Image, step: Resize) -> tuple[float, float, float, float]:
    """The largest box of these proportions in the middle of a picture: left, top, right, bottom."""
    factor = min(picture.width / step.width, picture.height / step.height)
    width, height = factor * step.width, factor * step.height
    left, top = max(0.0, (picture.width - width) / 2), max(0.0, (picture.height - height) / 2)
    return (left, top, min(left + width, picture.width), min(top + height, picture.height))


def _cropped(picture: Image.Image, step: Crop) -> Image.Image:
    left, top = (picture.width - step.width) // 2, (picture.height - step.height) // 2
    return picture.crop((left, top, left + step.width, top + step.height))


def _scaled(pixels: Pixels, step: Scale) -> Pixels:
    return pixels / np.float32(step.divisor)


def _normalised(pixels: Pixels, step: Normalise) -> Pixels:
    mean, std = (np.array(values, np.float32) for values in (step.mean, step.std))
    return (pixels - mean) / std


ON_PICTURES: dict[type[Any], Callable[[Image.Image, Any], Image.Image]] = {
    DecodePicture: flattened,
    ConvertChannels: _converted,
    Resize: _resized,
    Crop: _cropped,
}
"""Step -> what it does to a picture."""
ON_PIXELS: dict[type[Any], Callable[[Pixels, Any], Pixels]] = {Scale: _scaled, Normalise: _normalised}
"""Step -> what it does to numbers, (N, height, width, channels)."""
