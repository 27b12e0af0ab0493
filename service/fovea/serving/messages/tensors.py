"""One tensor's data between the wire and numpy: raw bytes, typed contents, and length-prefixed BYTES elements."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import InvalidRequest
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array, join_bytes, split_bytes
from fovea.serving.shared_memory.places import Place

CONTENTS_FIELD: dict[str, str] = {name: facts.contents for name, facts in DATATYPES.items() if facts.contents}
"""Datatype -> field of InferTensorContents. What has none travels raw only."""

MOST_AXES = 64
"""Of a tensor; numpy's limit."""
_MOST_BYTES = 2**63 - 1
"""numpy makes no array, not even an empty one, whose other axes come to more."""
_MOST_AT_ONCE = 4096
"""Elements that become Python objects, at half a microsecond each or more."""
_MOST_SHARED_BYTES_AT_ONCE = 1 << 20
_CHUNK = 16 * 1024
"""Elements converted in one go: 2 ms in which no other thread runs."""


class RawTensor:
    """One input as a request declares it: `array` turns its raw bytes into an array.

    `shape` is the model's; `sent`, which errors tell, may be another one of as many elements.
    """

    __slots__ = ("_dtype", "_sent", "count", "datatype", "name", "place", "shape", "size")

    def __init__(
        self,
        name: str,
        datatype: str,
        shape: tuple[int, ...],
        place: Place | None = None,
        sent: tuple[int, ...] | None = None,
    ) -> None:
        """InvalidRequest for an empty tensor whose sizes are beyond what can be counted."""
        self._sent = shape if sent is None else sent
        self.name, self.datatype, self.shape, self.place = name, datatype, shape, place
        self._dtype = NUMPY_DTYPE[datatype]
        self.count = prod(shape)  # of a rank and of sizes that have been checked
        self.size = self.count * self._dtype.itemsize
        if not self.count and prod(size or 1 for size in shape) * self._dtype.itemsize > _MOST_BYTES:
            raise InvalidRequest(f"input '{name}': shape {list(self._sent)} is too large")

    def takes_long(self, *, typed: bool = False) -> bool:
        """Whether making its array is no work for the thread that takes requests in; typed: from typed contents."""
        shared = self.place is not None and self.place.byte_size > _MOST_SHARED_BYTES_AT_ONCE
        return shared or ((typed or self.datatype == "BYTES") and self.count > _MOST_AT_ONCE)

    def array(self, raw: bytes) -> NDArray[Any]:
        """A read-only view of raw bytes (a copy for BYTES); InvalidRequest where the byte count does not fit."""
        if self.datatype == "BYTES":
            return bytes_array(elements_of(self.name, raw, self.count), self.shape)
        self.check_size(len(raw))
        if self.datatype == "BOOL" and raw.strip(b"\0\1"):
            raise InvalidRequest(f"input '{self.name}': a BOOL is a byte of 0 or 1")
        return np.ndarray(self.shape, self._dtype, raw)

    def check_size(self, size: int) -> None:
        """InvalidRequest where a byte count does not fit."""
        if size != self.size and self.datatype != "BYTES":
            raise InvalidRequest(
                f"input '{self.name}': expected {self.size} bytes for {self.datatype} {list(self._sent)}, "
                f"received {size}"
            )


def has_contents(tensor: Any) -> bool:
    """Whether an input brings typed contents; mlserver's client leaves empty ones beside raw data."""
    return tensor.HasField("contents") and bool(tensor.contents.ListFields())


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
    array = np.empty(len(values), NUMPY_DTYPE[datatype])
    try:
        for start in range(0, len(values), _CHUNK):
            array[start : start + _CHUNK] = values[start : start + _CHUNK]
    except OverflowError as error:
        raise InvalidRequest(f"input '{name}': a value does not fit {datatype}") from error
    return array.reshape(shape)


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
