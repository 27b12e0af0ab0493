"""Pictures from bytes: upright, and refused with the reason where they cannot be had."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fovea.contract.errors import InvalidRequest
from fovea.contract.input_steps import Preprocessing
from fovea.inputs.picture_parts import MAX_SCANS
from fovea.inputs.picture_steps import picture_row
from fovea.inputs.pictures import open_picture

GREY = Preprocessing(mode="L", height=2, width=3, mean=(0.5,), std=(0.25,)).steps
UPRIGHT = np.array([[10, 60, 110], [160, 210, 250]], np.uint8)
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}
"""EXIF's orientation -> how a camera that was held so stores the picture."""


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_upright_however_the_camera_was_held(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(Image.fromarray(np.ascontiguousarray(STORED[orientation])), exif=exif)
    np.testing.assert_array_equal(np.asarray(open_picture(stored)), UPRIGHT)


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
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


def scanned(times: int) -> io.BytesIO:
    """A JPEG whose last scan comes so often."""
    data = encoded(Image.effect_noise((40, 40), 50), "JPEG", progressive=True).read()
    last = data[data.rindex(b"\xff\xda") : -2]
    return io.BytesIO(data[:-2] + last * (times - 1) + data[-2:])


def test_a_jpeg_of_several_scans_is_a_picture() -> None:
    assert open_picture(scanned(MAX_SCANS - 5), ("PNG", "JPEG")).size == (40, 40)


@pytest.mark.parametrize("where", ["in a note", "behind the end"])
def test_what_looks_like_a_scan_and_is_none_does_not_count(where: str) -> None:
    data, marks = encoded(Image.new("L", (40, 40), 9), "JPEG").read(), b"\xff\xda" * 100
    note = b"\xff\xfe" + struct.pack(">H", len(marks) + 2) + marks
    with_marks = data + marks if where == "behind the end" else data[:2] + note + data[2:]
    assert open_picture(io.BytesIO(with_marks), ("PNG", "JPEG")).size == (40, 40)


def with_chunks(*chunks: bytes) -> io.BytesIO:
    data = encoded(Image.new("L", (8, 8))).read()
    return io.BytesIO(data[:33] + b"".join(chunks) + data[33:])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_segments(segment: bytes, times: int) -> io.BytesIO:
    data = encoded(Image.new("L", (8, 8)), "JPEG").read()
    return io.BytesIO(data[:2] + segment * times + data[2:])


PROFILE = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100)))


@pytest.mark.parametrize(
    "data",
    [
        with_chunks(*[chunk(b"prVt", b"")] * 900, PROFILE),
        with_chunks(*[chunk(b"tEXt", b"a\0" + bytes(8192))] * 2000),
        with_segments(b"\xff\xe2\xff\xff" + bytes(65533), 255),
        with_segments(b"\xff", 60_000),
    ],
)
def test_a_picture_with_as_many_parts_as_others_write_is_one(data: io.BytesIO) -> None:
    assert open_picture(data, ("PNG", "JPEG")).size == (8, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (scanned(MAX_SCANS + 1), f"too many scans: 38 is above the limit of {MAX_SCANS}"),
        (with_segments(b"\xff\xfe\x00\x02", 2001), "too many segments: more than the limit of 2000"),
        (with_segments(b"\xff", 70_000), "70000 bytes between its segments: the limit is 65536"),
        (io.BytesIO(b"\xff\xd8" + b"\xff" * 70_000), "70000 bytes between its segments"),
        (with_chunks(*[chunk(b"prVt", b"")] * 1200), "too many chunks: more than the 1056 that so many bytes may have"),
        (with_chunks(PROFILE, PROFILE), "more than one colour profile"),
        (with_chunks(chunk(b"eXIf", b"MM\0*\0")), "a damaged picture"),
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


def test_a_picture_of_hardly_any_width_is_refused_that_would_take_ten_times_its_pixels_time() -> None:
    with pytest.raises(InvalidRequest, match="too many pixels in a row: 1 x 65536 is above the limit of 65535"):
        open_picture(claiming(1, 65_536), ("PNG", "JPEG"))


def test_whatever_bytes_become_of_a_picture_they_are_a_picture_or_refused_in_plain_words() -> None:
    rng, exif = random.Random(5), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    kinds = [("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("RGB", "JPEG"), ("CMYK", "JPEG")]
    seeds = [encoded(Image.new(mode, (9, 7)), kind, exif=exif, progressive=True).read() for mode, kind in kinds]
    reasons: list[str] = []
    for _ in range(3000):
        data = changed(rng.choice(seeds), rng)
        try:
            picture_row(open_picture(io.BytesIO(data), ("PNG", "JPEG"), max_pixels=2000), GREY)
        except InvalidRequest as error:
            reasons.append(str(error))
    assert 100 < len(reasons) < 2900
    assert all(reasons)
    assert not [reason for reason in reasons if " at 0x" in reason]


def changed(seed: bytes, rng: random.Random) -> bytes:
    """The bytes with a few of them other, more or fewer; where it is a PNG, with the check sums that these have."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, kind = rng.randrange(len(data) - 4), rng.choice((b"tEXt", b"iCCP", b"tRNS", b"eXIf", b"pHYs", bytes(4)))
        length = rng.choice((0, 0, 0, 1, 5))
        data[at : at + rng.choice((1, 1, length))] = rng.choice((rng.randbytes(1), rng.randbytes(length), kind))
    return with_check_sums(bytes(data)) if data.startswith(b"\x89PNG") else bytes(data)


def with_check_sums(data: bytes) -> bytes:
    head, at = data[:8], 8
    while at + 12 + (length := int.from_bytes(data[at : at + 4])) <= len(data):
        head, at = head + chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]), at + 12 + length
    return head + data[at:]
