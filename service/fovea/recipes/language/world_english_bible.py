"""The World English Bible (public domain), from Debian's package `sword-text-web`: 4 million characters of English.

A SWORD module of compressed text: for each part of the Bible a file of blocks, and one of their places.
"""

from __future__ import annotations

import html
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import debian_files

_FOLDER = "usr/share/sword/modules/texts/ztext/engWEB2015eb"
_PLACE = struct.Struct("<III")
"""Of a block: where it begins, its size, its size unpacked."""
_ASIDE = re.compile(r"<(note|title)\b.*?</\1>", re.DOTALL)
_WORD_TAG = re.compile(r"</?(?:w|seg|q|name)\b[^>]*>")
"""Within a sentence: what stands beside it belongs together."""
_TAG = re.compile(r"<[^>]*>")
_END_OF_SENTENCE = re.compile(r"(?<=[.!?][\u201d\u2019])\s+|(?<=[.!?])\s+")


def sentences(folder: Path | None = None) -> list[str]:
    """In order, without notes, titles and tags; fetched on first use. Misconfigured: no data, or damaged."""
    source = folder or debian_files("sword-text-web", _FOLDER)
    found: list[str] = []
    for part in ("ot", "nt"):
        try:
            for block in _blocks(source, part):
                found += _sentences(block)
        except (OSError, zlib.error, struct.error, UnicodeDecodeError) as error:
            raise Misconfigured(f"{source} cannot be read; delete it to fetch it again: {error}") from error
    return found


def _blocks(source: Path, part: str) -> Iterator[str]:
    packed = (source / f"{part}.bzz").read_bytes()
    for start, size, _ in _PLACE.iter_unpack((source / f"{part}.bzs").read_bytes()):
        yield zlib.decompress(packed[start : start + size]).decode()


def _sentences(block: str) -> Iterator[str]:
    text = html.unescape(_TAG.sub(" ", _WORD_TAG.sub("", _ASIDE.sub(" ", block))))
    for sentence in _END_OF_SENTENCE.split(" ".join(text.split())):
        if sentence:
            yield sentence
