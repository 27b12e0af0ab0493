"""A picture from its file or bytes, upright, with eight bits a channel; what would cost too much is refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from fovea.contract.errors import FoveaError, InvalidRequest
from fovea.inputs.picture_parts import require_few_parts

MAX_PIXELS = 1 << 26
"""8192 x 8192: unpacked as much as a quarter of a gigabyte."""
MAX_SIDE = 65_535
"""As of a JPEG. A picture of one column takes ten times as long as a square one, and holds up every other thread."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what turns the picture upright."""


@dataclass(frozen=True)
class Limits:
    """What one element of a request may cost at most; a text's limit is fixed, `text_steps.MAX_TEXT_BYTES`."""

    max_pixels: int = MAX_PIXELS


warnings.filterwarnings("ignore", module="PIL")  # of oddities in a picture, which are no concern of the log's


def open_picture(
    source: Path | IO[bytes], formats: tuple[str, ...] | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Load a picture upright, as L, RGB or RGBA with 8 bits a channel; InvalidRequest tells why it cannot be.

    `formats` are those that Pillow may try (None: all that it has). Bytes, unlike a file, may be a stranger's: what
    they would cost is looked at before they are decoded.
    """
    try:
        if not isinstance(source, Path):
            require_few_parts(data := source.read())
            source = BytesIO(data)
        with Image.open(source, formats=formats) as image:
            _check(image, max_pixels)
            return _eight_bits(_upright(image))
    except (FoveaError, MemoryError):
        raise
    except Exception as error:  # whatever Pillow meets in the bytes: errors of every kind are its way to say so
        raise InvalidRequest(_reason(error, formats)) from error


def _reason(error: Exception, formats: tuple[str, ...] | None) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no picture that can be read" + (f", expected {' or '.join(formats)}" if formats else "")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too many pixels"
    if isinstance(error, OSError | ValueError | SyntaxError):  # in Pillow's words
        return str(getattr(error, "strerror", None) or error) or "a damaged picture"
    return "a damaged picture"


def _check(image: ImageFile.ImageFile, max_pixels: int) -> None:
    size = f"{image.width} x {image.height}"
    if image.width * image.height > max_pixels:
        raise InvalidRequest(f"too many pixels: {size} is above the limit of {max_pixels}")
    if max(image.size) > MAX_SIDE:
        raise InvalidRequest(f"too many pixels in a row: {size} is above the limit of {MAX_SIDE}")
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise InvalidRequest("an animated picture, expected one that stands still")


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # a PNG may say it after its pixels
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """L, RGB or RGBA. Of 16-bit and float pictures Pillow would clip the values, not scale them."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8), "L")
    if image.mode in ("I", "F"):
        numbers = np.asarray(image, np.float64).clip(0)
        return Image.fromarray((numbers * (255 / max(numbers.max(), 1e-12))).round().astype(np.uint8), "L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
