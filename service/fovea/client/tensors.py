"""A tensor between numpy and the wire: its datatype, and its raw bytes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import FoveaError, InvalidRequest, Unsupported

DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""Datatypes with a fixed width -> numpy's little-endian name. The one other is BYTES, an array of `bytes` objects."""

_DATATYPES = {np.dtype(name): datatype for datatype, name in DTYPES.items()}
_BYTES_KINDS = "OSU"
_LENGTH = struct.Struct("<I")


def datatype_of(name: str, array: NDArray[Any]) -> str:
    """The protocol's name of an array's dtype; InvalidRequest for one that it has no name for."""
    if array.dtype.kind in _BYTES_KINDS:
        return "BYTES"
    datatype = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None:
        raise InvalidRequest(f"input {name}: an array of {array.dtype} cannot be sent")
    return datatype


def to_raw(name: str, array: NDArray[Any]) -> bytes:
    """An array's bytes, little-endian, row by row; of `bytes` and `str` objects each with its length before it."""
    if array.dtype.kind in _BYTES_KINDS:
        return b"".join(_LENGTH.pack(len(element)) + element for element in (_encoded(name, one) for one in array.flat))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_raw(tensor: Any, raw: bytes) -> NDArray[Any]:
    """An output's array: a read-only view of its bytes, a copy for BYTES. FoveaError where they do not fit together."""
    try:
        if tensor.datatype == "BYTES":
            return _elements(raw).reshape(tuple(tensor.shape))
        return np.frombuffer(raw, _dtype(tensor)).reshape(tuple(tensor.shape))
    except (ValueError, struct.error) as error:
        shape = list(tensor.shape)
        raise FoveaError(f"output {tensor.name}: {len(raw)} bytes are no {tensor.datatype} {shape}") from error


def _dtype(tensor: Any) -> np.dtype[Any]:
    if tensor.datatype not in DTYPES:
        raise Unsupported(f"output {tensor.name} is {tensor.datatype}, which numpy does not have")
    return np.dtype(DTYPES[tensor.datatype])


def _encoded(name: str, element: Any) -> bytes:
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytes):
        return element
    raise InvalidRequest(f"input {name}: expected bytes or str objects, received {type(element).__name__}")


def _elements(raw: bytes) -> NDArray[Any]:
    elements, at = [], 0
    while at < len(raw):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        if at > len(raw):
            raise ValueError(f"an element of {length} bytes is cut off")
        elements.append(raw[at - length : at])
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array
