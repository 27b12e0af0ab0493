"""Pictures to tensors."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import Preprocessing
from fovea.pictures import open_picture, to_tensor

GREY = Preprocessing(mode="L", height=2, width=3, mean=(0.5,), std=(0.25,))
COLOUR = Preprocessing(mode="RGB", height=2, width=2, mean=(0.5, 0.4, 0.3), std=(1.0, 1.0, 1.0))


def test_pixels_are_scaled_then_normalised() -> None:
    row = to_tensor(Image.new("L", (3, 2), 255), GREY)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, np.full((1, 1, 2, 3), 2.0), rtol=1e-6)


def test_each_colour_has_its_own_mean() -> None:
    row = to_tensor(Image.new("RGB", (2, 2), (255, 0, 0)), COLOUR)
    np.testing.assert_allclose(row[0, :, 0, 0], [0.5, -0.4, -0.3], rtol=1e-6)


def test_what_cannot_be_seen_counts_as_the_mean() -> None:
    row = to_tensor(Image.new("RGBA", (5, 5), (255, 255, 255, 0)), GREY)
    np.testing.assert_allclose(row, np.zeros((1, 1, 2, 3)), atol=4 / 255)


def test_sixteen_bits_are_rounded_to_the_nearest_of_eight() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    eight = np.asarray(open_picture(encoded(Image.fromarray(values))))
    np.testing.assert_array_equal(eight, np.rint(values / 257))


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    data.seek(0)
    return data


def claiming(width: int, height: int) -> io.BytesIO:
    """A PNG of hardly any bytes that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


def scanned(times: int) -> io.BytesIO:
    """A JPEG whose last scan comes so often."""
    data = encoded(Image.effect_noise((40, 40), 50), "JPEG", progressive=True).read()
    last = data[data.rindex(b"\xff\xda") : -2]
    return io.BytesIO(data[:-2] + last * (times - 1) + data[-2:])


def test_a_jpeg_of_several_scans_is_a_picture() -> None:
    assert open_picture(scanned(50), ("PNG", "JPEG")).size == (40, 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (scanned(101), "too many scans: 106 is above the limit of 100"),
        (claiming(50, 41), "too many pixels: 50 x 41 is above the limit of 2000"),
        (claiming(100_000, 100_000), "too many pixels"),
        (claiming(40, 40), "truncated"),
        (io.BytesIO(b""), "no picture that can be read, expected PNG or JPEG"),
        (encoded(Image.new("L", (4, 4)), "GIF"), "no picture that can be read, expected PNG or JPEG"),
        (
            encoded(Image.new("L", (4, 4)), save_all=True, append_images=[Image.new("L", (4, 4), 9)]),
            "an animated picture, expected one that stands still",
        ),
        (io.BytesIO(encoded(Image.effect_noise((40, 40), 50), "JPEG").read()[:700]), "truncated"),
        (io.BytesIO(encoded(Image.effect_noise((40, 40), 50)).read()[:700]), "truncated"),
    ],
)
def test_a_picture_that_cannot_be_had_is_refused_with_the_reason(data: io.BytesIO, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        open_picture(data, ("PNG", "JPEG"), max_pixels=2000)


def test_a_png_whose_bytes_were_changed_is_refused() -> None:
    data = bytearray(encoded(Image.effect_noise((40, 40), 50)).read())
    data[600] ^= 1
    with pytest.raises(InvalidRequest):
        open_picture(io.BytesIO(bytes(data)), ("PNG", "JPEG"))
