"""A picture as a model's input: read, turned upright, flattened, sized, normalised. One way, for command and server."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import Preprocessing

MAX_PIXELS = 1 << 26
"""8192 x 8192: unpacked as much as a quarter of a gigabyte."""
MAX_SCANS = 100
"""Of a JPEG, each of which is decoded over the whole picture: 20 ms for 16 million pixels, be it of 31 bytes. Cameras
and libraries write at most 10."""
_SCAN = b"\xff\xda"
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # the limit here is lower, and an error


def open_picture(
    source: Path | IO[bytes], formats: tuple[str, ...] | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Load a picture upright, as L, RGB or RGBA with 8 bits a channel; InvalidRequest tells why it cannot be.

    `formats` are those that Pillow may try (None: all that it has). Its size is looked at before it is unpacked.
    """
    try:
        with Image.open(source, formats=formats) as image:
            _check(image, max_pixels)
            return _eight_bits(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise InvalidRequest(f"no picture that can be read{_one_of(formats)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequest("too many pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidRequest(str(getattr(error, "strerror", None) or error)) from error


def _one_of(formats: tuple[str, ...] | None) -> str:
    return f", expected {' or '.join(formats)}" if formats else ""


def _check(image: ImageFile.ImageFile, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise InvalidRequest(f"too many pixels: {image.width} x {image.height} is above the limit of {max_pixels}")
    if image.format == "PNG" and getattr(image, "is_animated", False):
        raise InvalidRequest("an animated picture, expected one that stands still")
    if image.fp and image.format in ("JPEG", "MPO") and (scans := _scans(image.fp)) > MAX_SCANS:
        raise InvalidRequest(f"too many scans: {scans} is above the limit of {MAX_SCANS}")


def _scans(file: IO[bytes]) -> int:
    """How often the mark of a scan occurs in a JPEG; in compressed data it does not."""
    at = file.tell()
    file.seek(0)
    count = file.read().count(_SCAN)
    file.seek(at)
    return count


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
