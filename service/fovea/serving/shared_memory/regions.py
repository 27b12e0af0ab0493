"""The regions of shared memory that clients have registered, and who uses them."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from fovea.contract.errors import AlreadyExists, InvalidRequest, NotFound, Unavailable
from fovea.serving.security.access import require_group
from fovea.serving.shared_memory.places import Place
from fovea.serving.shared_memory.region import Region, check_size, opened

_MOST_REGIONS = 256
"""Each holds a file descriptor."""


class Held:
    """The regions that a request's outputs go to: they cannot be unregistered until it has ended."""

    def __init__(self, regions: Mapping[str, Region], release: Callable[[], None]) -> None:
        self._regions, self._release = regions, [release]

    def write(self, place: Place, data: bytes | memoryview) -> None:
        """Put an output at its place; RegionTooSmall where it does not fit."""
        self._regions[place.region].write(place, data)

    def release(self) -> None:
        """Let go of them; once, however often it is called."""
        if self._release:
            self._release.pop()()


class Regions:
    """The regions that clients have registered. May be used by any thread."""

    def __init__(self, open_rpcs: Iterable[str] = (), most_bytes: int = 1 << 30) -> None:
        self._open_rpcs, self._most_bytes = frozenset(open_rpcs), most_bytes
        self._regions: dict[str, Region] = {}
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self, place: Place) -> bytes:
        """What a request's input has at its place; NotFound where the region is not registered."""
        if place.byte_size > self._most_bytes:
            raise InvalidRequest(f"{place}: the limit is {self._most_bytes} bytes (--max-queue-mb)")
        with self._used([place]) as held:
            return held[place.region].read(place)

    def hold(self, places: Iterable[Place]) -> Held:
        """The regions of a request's outputs; NotFound or InvalidRequest where one cannot be written."""
        regions = self._take(places)
        return Held(regions, lambda: self._give_back(regions))

    @contextmanager
    def _used(self, places: Iterable[Place]) -> Iterator[Mapping[str, Region]]:
        regions = self._take(places)
        try:
            yield regions
        finally:
            self._give_back(regions)

    def _take(self, places: Iterable[Place]) -> Mapping[str, Region]:
        require_group("shared memory", "shared_memory", self._open_rpcs)
        with self._lock:
            regions = {place.region: self._region(place) for place in places}
            self._users.update(list(regions))
        return regions

    def _region(self, place: Place) -> Region:
        region = self._regions.get(place.region)
        if region is None:
            raise NotFound(f"{place}: no region of this name is registered")
        region.check(place)
        return region

    def _give_back(self, regions: Iterable[str]) -> None:
        with self._lock:
            self._users.subtract(list(regions))

    def known(self, name: str) -> Mapping[str, Region]:
        """By name: the region of a name, or all for ""; NotFound where there is none."""
        with self._lock:
            regions = dict(self._regions)
        return {name: self._named(regions, name)} if name else regions

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Make a region known; the object must be there."""
        if not name:
            raise InvalidRequest("expected the name of a region, received none")
        region = Region(name, key, offset, byte_size, opened(key))
        try:
            check_size(region)
            self._add(region)
        except BaseException:
            os.close(region.file)
            raise

    def _add(self, region: Region) -> None:
        with self._lock:
            if region.name in self._regions:
                raise AlreadyExists(f"shared memory region '{region.name}' is already registered")
            if len(self._regions) >= _MOST_REGIONS:
                raise Unavailable(f"{_MOST_REGIONS} shared memory regions are registered, which is the limit")
            self._regions[region.name] = region

    def unregister(self, name: str) -> None:
        """Forget a region, or all for ""; none that a request in flight is to be answered in.

        One that is unknown is forgotten already: Triton's callers begin by forgetting what a run before left behind.
        """
        with self._lock:
            names = [one for one in self._regions if name in ("", one)]
            busy = [one for one in names if self._users[one] > 0]
            if busy:
                raise Unavailable(f"shared memory regions {busy} are in use by requests in flight")
            for one in names:
                os.close(self._regions.pop(one).file)
                del self._users[one]

    @staticmethod
    def _named(regions: Mapping[str, Region], name: str) -> Region:
        if name not in regions:
            raise NotFound(f"unknown shared memory region '{name}'")
        return regions[name]
