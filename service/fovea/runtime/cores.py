"""How many cores this process may use: by its affinity mask, and by the CPU quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """At least 1. A quota of half a core counts as one, of one and a half as two."""
    return max(1, min([len(os.sched_getaffinity(0)), *map(ceil, _quotas(root))]))


@dataclass(frozen=True)
class _Mount:
    """A hierarchy of control groups: which of its groups is seen at which path."""

    version: int
    group: PurePosixPath
    place: PurePosixPath


def _quotas(root: Path) -> Iterator[float]:
    """Cores that each group from the process's own up to the outermost one in sight grants, where it limits them."""
    groups = dict(_own_groups(_lines(root / "proc/self/cgroup")))
    for mount in _mounts(_lines(root / "proc/self/mountinfo")):
        group = groups.get(mount.version)
        if group is None:
            continue
        # Where a container sees its own group as the outermost one, what it is called outside is of no use.
        below = group.relative_to(mount.group) if group.is_relative_to(mount.group) else PurePosixPath()
        for path in (below, *below.parents):
            if (quota := _quota(root / mount.place.relative_to("/") / path, mount.version)) is not None:
                yield quota


def _own_groups(lines: list[str]) -> Iterator[tuple[int, PurePosixPath]]:
    """Version of the hierarchy -> the process's group in it, of those that have to do with CPU time."""
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            yield 2, PurePosixPath(group)
        elif "cpu" in controllers.split(","):
            yield 1, PurePosixPath(group)


def _mounts(lines: list[str]) -> Iterator[_Mount]:
    """The mounts of /proc/self/mountinfo, as proc_pid_mountinfo(5) lays them out."""
    for line in lines:
        before, _, after = line.partition(" - ")
        group, place = before.split()[3:5]
        kind, *_, options = after.split()
        if kind == "cgroup2":
            yield _Mount(2, PurePosixPath(group), PurePosixPath(place))
        elif kind == "cgroup" and "cpu" in options.split(","):
            yield _Mount(1, PurePosixPath(group), PurePosixPath(place))


def _quota(folder: Path, version: int) -> float | None:
    """In cores; None where the group does not limit them, or does not say."""
    names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    words = " ".join(line for name in names for line in _lines(folder / name)).split()
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
