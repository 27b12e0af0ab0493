"""The path of a network's glimpses, drawn over the picture that it looked at."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fovea.cli.heat_maps import coloured, enlarged
from fovea.contract.attention import AttentionType

_RADIUS = 0.02
"""Of the spot of a glimpse, as a share of the picture's shorter side."""


def is_path(attention: str, shape: tuple[int, ...]) -> bool:
    """Whether a map of this type and shape is one: (rows, glimpses, 2), column and row of each from -1 to 1."""
    return attention == AttentionType.HARD_SAMPLE and len(shape) == 3 and shape[-1] == 2


def with_path(picture: Image.Image, path: NDArray[Any]) -> Image.Image:
    """The picture, enlarged until it can be read, with the places (glimpses, 2) joined in order, from dark to light."""
    base = enlarged(picture)
    pen, radius = ImageDraw.Draw(base), max(3, round(_RADIUS * min(base.size)))
    spots = [tuple(spot) for spot in ((np.asarray(path, np.float64) + 1) / 2 * base.size).tolist()]
    order = np.linspace(0.25, 1, len(spots))[None]
    colours = [coloured(order).getpixel((place, 0)) for place in range(len(spots))]
    for (first, second), colour in zip(pairwise(spots), colours[1:], strict=True):
        pen.line([first, second], fill=colour, width=max(2, radius // 3))
    for (column, row), colour in zip(spots, colours, strict=True):
        pen.ellipse([column - radius, row - radius, column + radius, row + radius], fill=colour, outline="white")
    return base
