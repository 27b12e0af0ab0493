"""How many cores are taken under affinity masks and CPU quotas, as the kernel shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fovea.runtime.cores import usable_cores

V2 = "25 1 0:22 {group} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "31 25 0:27 {group} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"
MEMORY = "33 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask of eight cores, whatever this machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def machine(root: Path, mount: str, groups: str, files: dict[str, str]) -> Path:
    """The part of a file system that tells of control groups."""
    for name, text in {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": f"22 1 254:1 / / rw - ext4 /dev/root rw\n{MEMORY}\n{mount}\n",
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("50000 100000", 1), ("100000 100000", 1), ("150000 100000", 2), ("1600000 100000", 8)],
)
def test_a_quota_is_rounded_up_to_whole_cores_and_never_adds_any(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"pod/box/cpu.max": f"{quota}\n"}
    assert usable_cores(machine(tmp_path, V2.format(group="/"), "0::/pod/box\n", files)) == cores


def test_the_narrowest_of_nested_groups_decides(tmp_path: Path) -> None:
    files = {
        "pod/cpu.max": "200000 100000\n",
        "pod/box/cpu.max": "400000 100000\n",
        "pod/box/in/cpu.max": "max 100000\n",
    }
    assert usable_cores(machine(tmp_path, V2.format(group="/"), "0::/pod/box/in\n", files)) == 2


def test_a_container_that_sees_its_own_group_as_the_outermost_finds_its_quota(tmp_path: Path) -> None:
    files = {"cpu.max": "300000 100000\n"}
    assert usable_cores(machine(tmp_path, V2.format(group="/"), "0::/\n", files)) == 3


@pytest.mark.parametrize("seen_as", ["/docker/4f2", "/elsewhere"])
def test_version_1_tells_its_quota_in_two_files_also_where_the_group_has_another_name_outside(
    tmp_path: Path, seen_as: str
) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    groups = "9:memory:/docker/4f2\n4:cpu,cpuacct:/docker/4f2\n0::/docker/4f2\n"
    assert usable_cores(machine(tmp_path, V1.format(group=seen_as), groups, files)) == 3


def test_without_a_limit_version_1_says_minus_one(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}
    assert usable_cores(machine(tmp_path, V1.format(group="/"), "4:cpu,cpuacct:/a\n", files)) == 8


def test_where_there_are_no_control_groups_the_mask_decides(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8
