"""System shared memory: tensors that a client on this machine puts into, or wants in, a POSIX shared memory object.

Regions are read and written through their file, not mapped: a client that cuts its object short would kill a process
that has it mapped (SIGBUS), here its request gets an error; and one that changes an index after an operator has checked
it would have the operator read elsewhere. So an input is copied once, and fixed once its request is admitted: a large
one that runs alone is not copied again. An output is copied once, from where the model left it. What a client writes
while its request is admitted, or reads before its answer has come, is its own risk.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from fovea.contract.errors import InvalidRequest, NotFound, RegionTooSmall
from fovea.serving.shared_memory.places import Place

_FOLDER = Path("/dev/shm")  # where Linux keeps POSIX shared memory
_KEY = re.compile(r"/?([A-Za-z0-9_-][A-Za-z0-9._-]{0,253})", re.ASCII)
_RESERVED = "triton_python_backend_shm_region_"
"""Keys of what Triton's own processes share with each other."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a shared memory object. Its client may change what is in it at any time, and its size."""

    name: str
    key: str
    offset: int
    byte_size: int
    file: int

    def read(self, place: Place) -> bytes:
        """The bytes at a place; InvalidRequest where it leaves the region, RegionTooSmall where the object does."""
        self.check(place)
        data = _read(self.file, place.byte_size, self.offset + place.offset)
        if len(data) != place.byte_size:
            raise RegionTooSmall(f"{place}: the object '{self.key}' has been cut short, {len(data)} bytes are left")
        return data

    def write(self, place: Place, data: bytes | memoryview) -> None:
        """Put an output at its place; RegionTooSmall where it does not fit."""
        if len(data) > place.byte_size:
            raise RegionTooSmall(f"{place}: the output has {len(data)} bytes")
        at = self.offset + place.offset
        if os.fstat(self.file).st_size < at + len(data):  # writing would make the object longer
            raise RegionTooSmall(f"{place}: the object '{self.key}' has been cut short")
        try:
            _write(self.file, data, at)
        except OSError as error:  # the machine has no memory left for what the object is to hold
            raise RegionTooSmall(f"{place}: {len(data)} bytes cannot be written: {error.strerror}") from error

    def check(self, place: Place) -> None:
        """InvalidRequest where a place leaves the region."""
        if place.offset + place.byte_size > self.byte_size:
            raise InvalidRequest(f"{place}: the region has {self.byte_size} bytes")


def _read(file: int, size: int, at: int) -> bytes:
    """The bytes there, fewer where the file ends; a call reads 2 GB at most."""
    parts, found = [], 0
    while found < size and (part := os.pread(file, size - found, at + found)):
        parts.append(part)
        found += len(part)
    return b"".join(parts)


def _write(file: int, data: bytes | memoryview, at: int) -> None:
    """All of the bytes; OSError where they do not fit: the first call takes some of them, the next one says why."""
    left = memoryview(data)
    while left:
        count = os.pwrite(file, left, at)
        left, at = left[count:], at + count


def opened(key: str) -> int:
    """The file of a shared memory object; InvalidRequest for keys that may not be one."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise InvalidRequest(f"shared memory key '{key}': expected a name of letters, digits, dots, - and _")
    if found[1].startswith(_RESERVED):
        raise InvalidRequest(f"shared memory key '{key}': names that begin with {_RESERVED} are reserved")
    try:
        file = os.open(_FOLDER / found[1], os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"no shared memory object '{key}' can be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise InvalidRequest(f"shared memory key '{key}' names no shared memory object")
    return file


def check_size(region: Region) -> None:
    """InvalidRequest or RegionTooSmall where a region leaves its object."""
    size = os.fstat(region.file).st_size
    what = f"shared memory region '{region.name}'"
    if region.offset >= size or not region.byte_size:
        raise InvalidRequest(f"{what}: expected bytes within the {size} of '{region.key}', offset {region.offset}")
    if region.offset + region.byte_size > size:
        raise RegionTooSmall(
            f"{what}: '{region.key}' has {size} bytes, received offset {region.offset} and size {region.byte_size}"
        )
