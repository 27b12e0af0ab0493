"""One tensor's data between raw bytes and numpy."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array, join_bytes, split_bytes
from fovea.serving.shared_memory.places import Place

MOST_AXES = 64
"""Most axes of a tensor; numpy's limit."""
_MOST_BYTES = 2**63 - 1
"""numpy makes no array, not even an empty one, whose other axes come to more."""
_MOST_AT_ONCE = 4096
"""Elements that become Python objects, at half a microsecond each or more."""
_MOST_SHARED_BYTES_AT_ONCE = 1 << 20
LARGE_BYTES = 1 << 16
"""A tensor of so many is passed on as a view of the memory that it came in, or was made in: to copy it takes longer
than to make a view, 5 µs and a third of a microsecond."""


class ExpectedInput:
    """One input as a request that passed declares it: `array` turns its raw bytes into an array.

    `shape` is the model's; `sent`, which errors tell, may be another one of as many elements.
    """

    __slots__ = ("_dtype", "_is_plain", "count", "datatype", "name", "place", "sent", "shape", "size")

    def __init__(
        self,
        name: str,
        datatype: str,
        shape: tuple[int, ...],
        place: Place | None = None,
        sent: tuple[int, ...] | None = None,
    ) -> None:
        """InvalidRequest for an empty tensor whose sizes are beyond what can be counted."""
        self.sent = shape if sent is None else sent
        self.name, self.datatype, self.shape, self.place = name, datatype, shape, place
        self._dtype = NUMPY_DTYPE[datatype]
        self._is_plain = datatype not in ("BYTES", "BOOL")
        self.count = prod(shape)  # of a rank and of sizes that have been checked
        self.size = self.count * self._dtype.itemsize
        if not self.count and prod(size or 1 for size in shape) * self._dtype.itemsize > _MOST_BYTES:
            raise InvalidRequest(f"input '{name}': shape {list(self.sent)} is too large")

    def takes_long(self, *, from_values: bool = False) -> bool:
        """Whether making its array is no work for the thread that takes requests in."""
        shared = self.place is not None and self.place.byte_size > _MOST_SHARED_BYTES_AT_ONCE
        return shared or ((from_values or self.datatype == "BYTES") and self.count > _MOST_AT_ONCE)

    def array(self, raw: bytes | memoryview) -> NDArray[Any]:
        """A read-only view of raw bytes (a copy for BYTES); InvalidRequest where the byte count does not fit."""
        if self._is_plain and len(raw) == self.size:
            return np.ndarray(self.shape, self._dtype, raw)
        raw = bytes(raw)
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
                f"input '{self.name}': expected {self.size} bytes for {self.datatype} {list(self.sent)}, "
                f"received {size}"
            )

    def check_count(self, count: int) -> None:
        """InvalidRequest where there are so many values."""
        if count != self.count:
            raise InvalidRequest(f"input '{self.name}': expected {self.count} elements, received {count}")


def elements_of(name: str, raw: bytes, count: int) -> list[bytes]:
    """The `count` elements of a BYTES tensor; InvalidRequest where its raw bytes are malformed."""
    try:
        return split_bytes(raw, count)
    except ValueError as error:
        raise InvalidRequest(f"input '{name}': {error}") from error


def to_raw(array: NDArray[Any]) -> bytes | memoryview:
    """The raw bytes of an output, row by row; of a large one its own memory, for who copies it anyway."""
    if not array.dtype.hasobject:
        large = array.nbytes >= LARGE_BYTES and array.flags.c_contiguous
        return array.reshape(-1).view(np.uint8).data if large else array.tobytes()
    return join_bytes(map(_as_bytes, array.ravel()))


def _as_bytes(element: Any) -> bytes:
    return element.encode() if isinstance(element, str) else bytes(element)
