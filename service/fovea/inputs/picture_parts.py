"""The parts of a stranger's PNG or JPEG, bounded: what decoding costs beyond the pixels is seen before it begins."""

from __future__ import annotations

import re

from fovea.contract.errors import InvalidRequest

MAX_SCANS = 32
"""Each scan of a JPEG is decoded over the whole picture: 12 ms for 16 million pixels, be it of 31 bytes. Libraries
write 18 at most."""
MAX_SEGMENTS = 2000
"""Most segments of a JPEG: notes and profiles of 64 KB each, tables, scans."""
_MOST_FILLING = 1 << 16
"""Bytes between the segments before a JPEG's first scan: Pillow reads them one by one, in Python."""
_CHUNKS, _CHUNK_BYTES = 1000, 256
"""Chunks of a PNG, and one more for every so many bytes: Pillow takes 2 µs for each. Libraries write 8 KB in one."""

_SOI, _END_OF_IMAGE, _START_OF_SCAN, _WITHOUT_LENGTH = b"\xff\xd8", 0xD9, 0xDA, 0x01
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In compressed data FF is followed by 00 or by a mark of restart. Before a marker may be any number of FF."""
_WINDOW = 1 << 18
"""Bytes; while an expression is looked for, no other thread runs."""
_PNG = b"\x89PNG\r\n\x1a\n"


def require_few_parts(data: bytes) -> None:
    """InvalidRequest where a PNG or JPEG has so many parts that it would take longer than its pixels explain."""
    if data.startswith(_SOI):
        _check_segments(data)
    elif data.startswith(_PNG):
        _check_chunks(data)


def _check_segments(data: bytes) -> None:
    """Walks as libjpeg does: neither previews inside a segment count, nor what comes behind the picture's end."""
    at, segments, scans, filling, kind = len(_SOI), 0, 0, 0, 0
    while kind != _END_OF_IMAGE:
        mark = _next_marker(data, at)
        kind = data[mark + 1] if mark + 1 < len(data) else _END_OF_IMAGE
        filling += 0 if scans else mark - at
        segments, scans = segments + 1, scans + (kind == _START_OF_SCAN)
        if segments > MAX_SEGMENTS:
            raise InvalidRequest(f"too many segments: more than the limit of {MAX_SEGMENTS}")
        at = mark + 2 + (0 if kind == _WITHOUT_LENGTH else int.from_bytes(data[mark + 2 : mark + 4]))
    if scans > MAX_SCANS:
        raise InvalidRequest(f"too many scans: {scans} is above the limit of {MAX_SCANS}")
    if filling > _MOST_FILLING:
        raise InvalidRequest(f"{filling} bytes between its segments: the limit is {_MOST_FILLING}")


def _next_marker(data: bytes, at: int) -> int:
    """Where the next marker is; the end of the data where there is none."""
    for start in range(at, len(data), _WINDOW):
        if found := _MARKER.search(data, start, start + _WINDOW + 1):
            return found.start()
    return len(data)


def _check_chunks(data: bytes) -> None:
    at, chunks, profiles, most = len(_PNG), 0, 0, _CHUNKS + len(data) // _CHUNK_BYTES
    while at + 8 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IEND":
        chunks += 1
        profiles += kind == b"iCCP"
        if chunks > most:
            raise InvalidRequest(f"too many chunks: more than the {most} that so many bytes may have")
        if profiles > 1:  # each unpacks to a megabyte
            raise InvalidRequest("more than one colour profile")
        at += 12 + int.from_bytes(data[at : at + 4])
