"""The idx file format of the MNIST family: two zero bytes, a type, the rank, big-endian sizes, then the values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import Misconfigured

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes, gzipped or not, as an array; Misconfigured tells what is wrong with the file."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise Misconfigured(f"{path} is damaged ({error}); delete its folder to fetch it again") from error
    return _parse(content, path)


def _parse(content: bytes, path: Path) -> NDArray[np.uint8]:
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise Misconfigured(f"{path} is not an idx file of bytes; delete its folder to fetch it again")
    rank = content[3]
    header = 4 + 4 * rank
    shape = struct.unpack(f">{rank}I", content[4:header]) if len(content) >= header else ()
    expected = header + math.prod(shape)
    if len(shape) != rank or len(content) != expected:
        raise Misconfigured(
            f"{path} should hold {expected} bytes and holds {len(content)}; delete its folder to fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
