"""Tensors as they travel, for server and client: every datatype in numpy, and texts with their lengths."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.datatypes import DATATYPES

NUMPY_DTYPE: dict[str, np.dtype[Any]] = {name: np.dtype(facts.numpy) for name, facts in DATATYPES.items()}
"""The protocol's datatype -> numpy's. A BYTES array holds Python `bytes` objects."""

_LENGTH = struct.Struct("<I")


def join_bytes(elements: Iterable[bytes]) -> bytes:
    """A BYTES tensor's raw bytes: of each element a 4-byte little-endian length, then that many bytes."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def split_bytes(raw: bytes, count: int) -> list[bytes]:
    """The `count` elements of a BYTES tensor; ValueError tells what is wrong with its raw bytes."""
    elements: list[bytes] = []
    at = 0
    while at < len(raw) and len(elements) < count:
        if at + _LENGTH.size > len(raw):
            raise ValueError(f"malformed BYTES, {len(raw) - at} bytes where a 4-byte length belongs")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise ValueError(f"malformed BYTES, an element of {length} bytes with {len(raw) - at} bytes left")
        elements.append(raw[at : at + length])
        at += length
    if at < len(raw):
        raise ValueError(f"expected {count} elements, received {len(raw) - at} bytes after them")
    if len(elements) != count:
        raise ValueError(f"expected {count} elements, received {len(elements)}")
    return elements


def bytes_array(elements: Sequence[bytes], shape: tuple[int, ...]) -> NDArray[Any]:
    """A BYTES tensor from its elements, row by row."""
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)
