"""Versions are loaded side by side within bounds; what takes long lends its place."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

from fovea.runtime.load_places import LoadPlaces, place_lent
from fovea.runtime.memory import available_bytes

LONG_S, SHORT_S = 20.0, 0.05
MB = 1 << 20


class Load:
    """A load on a thread of its own: it has a place from when `has_begun` is set until `end`."""

    def __init__(self, places: LoadPlaces, file_bytes: int = 0, *, hangs: bool = False) -> None:
        self.has_begun, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(places, file_bytes, hangs), daemon=True)
        self._thread.start()

    def _run(self, places: LoadPlaces, file_bytes: int, hangs: bool) -> None:
        with places.taken(file_bytes), place_lent() if hangs else nullcontext():
            self.has_begun.set()
            assert self._may_end.wait(LONG_S)

    @property
    def begins(self) -> bool:
        return self.has_begun.wait(LONG_S)

    @property
    def waits(self) -> bool:
        return not self.has_begun.wait(SHORT_S)

    def end(self) -> None:
        self._may_end.set()
        self._thread.join(LONG_S)


def test_so_many_are_loaded_at_once_and_the_others_wait() -> None:
    places = LoadPlaces(2, lambda: 1000 * MB)
    first, second = Load(places), Load(places)
    assert first.begins
    assert second.begins
    third = Load(places)
    assert third.waits
    first.end()
    assert third.begins
    for load in (second, third):
        load.end()


def test_one_that_hangs_holds_up_no_other() -> None:
    places = LoadPlaces(1, lambda: 1000 * MB)
    hanging = [Load(places, hangs=True) for _ in range(3)]
    assert all(load.begins for load in hanging)
    well = Load(places)
    assert well.begins
    for load in (well, *hanging):
        load.end()


def test_large_ones_wait_for_memory_and_one_is_always_loaded() -> None:
    places = LoadPlaces(8, lambda: 1000 * MB)
    large, small = Load(places, 200 * MB), Load(places, 10 * MB)
    assert large.begins
    assert small.begins
    another = Load(places, 100 * MB)
    assert another.waits
    large.end()
    small.end()
    assert another.begins
    another.end()
    huge = Load(places, 5000 * MB)
    assert huge.begins
    huge.end()


def test_who_has_no_place_lends_none() -> None:
    with place_lent():
        pass


def test_available_memory_is_the_machines_or_what_a_control_group_leaves(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:  8000 kB\n")
    assert available_bytes(tmp_path) == 8000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("1000000\n")
    (group / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) == 8000 * 1024
    (group / "memory.max").write_text("3000000\n")
    assert available_bytes(tmp_path) == 2_000_000
