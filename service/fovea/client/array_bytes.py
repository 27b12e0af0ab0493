"""A tensor between numpy and the wire: its datatype, and its raw bytes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import FoveaError, InvalidRequest, Unsupported
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array, join_bytes, split_bytes

_DATATYPES = {dtype: datatype for datatype, dtype in NUMPY_DTYPE.items()}
_BYTES_KINDS = "OSU"


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
        return join_bytes(_encoded(name, element) for element in array.flat)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_raw(tensor: Any, raw: bytes) -> NDArray[Any]:
    """An output's array: a read-only view of its bytes, a copy for BYTES. FoveaError where they do not fit together."""
    try:
        if tensor.datatype == "BYTES":
            return bytes_array(split_bytes(raw, prod(tensor.shape)), tuple(tensor.shape))
        return np.frombuffer(raw, _dtype(tensor)).reshape(tuple(tensor.shape))
    except ValueError as error:
        shape = list(tensor.shape)
        raise FoveaError(f"output {tensor.name}: {len(raw)} bytes are no {tensor.datatype} {shape}") from error


def _dtype(tensor: Any) -> np.dtype[Any]:
    if tensor.datatype not in NUMPY_DTYPE:
        raise Unsupported(f"output {tensor.name} is {tensor.datatype}, which numpy does not have")
    return NUMPY_DTYPE[tensor.datatype]


def _encoded(name: str, element: Any) -> bytes:
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytes):
        return element
    raise InvalidRequest(f"input {name}: expected bytes or str objects, received {type(element).__name__}")
