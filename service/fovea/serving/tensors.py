"""One tensor's data between the wire and numpy: raw bytes, typed contents, and length-prefixed BYTES elements."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array, join_bytes, split_bytes
from fovea.serving.places import Place

CONTENTS_FIELD: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype -> field of InferTensorContents. FP16 has none: it travels raw only."""


class RawTensor:
    """One input as a request declares it: `array` turns its raw bytes into an array."""

    __slots__ = ("_dtype", "_size", "datatype", "name", "place", "shape")

    def __init__(self, name: str, datatype: str, shape: tuple[int, ...], place: Place | None = None) -> None:
        self.name, self.datatype, self.shape, self.place = name, datatype, shape, place
        self._dtype = NUMPY_DTYPE[datatype]
        self._size = prod(shape) * self._dtype.itemsize

    def array(self, raw: bytes) -> NDArray[Any]:
        """A read-only view of raw bytes (a copy for BYTES); InvalidRequest where the byte count does not fit."""
        if self.datatype == "BYTES":
            return bytes_array(elements_of(self.name, raw, prod(self.shape)), self.shape)
        self.check_size(len(raw))
        if self.datatype == "BOOL" and raw.strip(b"\0\1"):
            raise InvalidRequest(f"input '{self.name}': a BOOL is a byte of 0 or 1")
        try:
            return np.ndarray(self.shape, self._dtype, raw)
        except ValueError as error:  # an empty tensor with sizes beyond what can be counted
            raise InvalidRequest(f"input '{self.name}': shape {list(self.shape)} is too large") from error

    def check_size(self, size: int) -> None:
        """InvalidRequest where a byte count does not fit."""
        if size != self._size and self.datatype != "BYTES":
            raise InvalidRequest(
                f"input '{self.name}': expected {self._size} bytes for {self.datatype} {list(self.shape)}, "
                f"received {size}"
            )


def from_contents(name: str, datatype: str, shape: tuple[int, ...], contents: Any) -> NDArray[Any]:
    """An array from typed contents; InvalidRequest for a wrong field, count or range of values."""
    field = CONTENTS_FIELD.get(datatype)
    if field is None:
        raise InvalidRequest(f"input '{name}': {datatype} has no typed contents, send it as raw_input_contents")
    others = [descriptor.name for descriptor, _ in contents.ListFields() if descriptor.name != field]
    if others:
        raise InvalidRequest(f"input '{name}': {datatype} data belongs in {field}, received {others[0]}")
    values = getattr(contents, field)
    if len(values) != prod(shape):  # first: converting millions of values holds everybody up
        raise InvalidRequest(f"input '{name}': expected {prod(shape)} elements, received {len(values)}")
    if datatype == "BYTES":
        return bytes_array(list(values), shape)
    return _numbers(name, datatype, values).reshape(shape)


def _numbers(name: str, datatype: str, values: Any) -> NDArray[Any]:
    try:
        return np.array(values, dtype=NUMPY_DTYPE[datatype])
    except OverflowError as error:
        raise InvalidRequest(f"input '{name}': a value does not fit {datatype}") from error


def elements_of(name: str, raw: bytes, count: int) -> list[bytes]:
    """The `count` elements of a BYTES tensor; InvalidRequest where its raw bytes are malformed."""
    try:
        return split_bytes(raw, count)
    except ValueError as error:
        raise InvalidRequest(f"input '{name}': {error}") from error


def to_raw(array: NDArray[Any]) -> bytes:
    """The raw bytes of an output, row by row."""
    if array.dtype != np.object_:
        return array.tobytes()
    return join_bytes(map(_as_bytes, array.ravel()))


def _as_bytes(element: Any) -> bytes:
    return element.encode() if isinstance(element, str) else bytes(element)
