"""requirements/*.lock: what make, CI and the image install, to the byte; pyproject.toml says what may be in them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
SERVING = PROJECT["project"]["dependencies"]
HELD: dict[str, list[str]] = {
    "cpu": SERVING + EXTRAS["cpu"],
    "gpu": SERVING + EXTRAS["gpu"],
    "dev": SERVING + EXTRAS["dev"] + EXTRAS["export"] + EXTRAS["otel"],
    "otel": SERVING + EXTRAS["otel"],
    "peers": SERVING + EXTRAS["peers"],
    "build": GROUPS["build"],
    "sbom": GROUPS["sbom"],
    "tools": GROUPS["tools"],
}
"""Lock -> what it is made from. PyTorch is in none: which of its builds is right is the machine's affair."""


def pins(lock: Path) -> list[Requirement]:
    """The lines that name a version."""
    return [Requirement(line.rstrip(" \\")) for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line)]


def versions(lock: Path) -> dict[str, set[str]]:
    """Package -> the versions that are pinned: one, or one for each range of Pythons."""
    found: dict[str, set[str]] = {}
    for pin in pins(lock):
        (only,) = pin.specifier
        assert only.operator == "=="
        found.setdefault(canonicalize_name(pin.name), set()).add(only.version)
    return found


def test_every_lock_has_its_reason() -> None:
    assert {lock.stem for lock in LOCKS} == set(HELD)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_allows_what_pyproject_asks_for_and_nothing_else(lock: Path) -> None:
    """Where this fails after a change of pyproject.toml: `make lock`."""
    pinned = versions(lock)
    asked = [Requirement(text) for text in HELD[lock.stem]]
    for one in asked:
        if one.name != "torch":
            found = pinned[canonicalize_name(one.name)]
            assert all(one.specifier.contains(version) for version in found), f"{one}: make lock"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_hashes_and_none_says_where_it_comes_from(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"\n(?=[a-z0-9])", "\n" + re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))[1:]
    assert len(entries) == len(pins(lock))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert not re.findall(r"https?:|index-url|find-links", text)


def test_the_locks_that_are_installed_side_by_side_agree() -> None:
    held = [versions(ROOT / "requirements" / f"{name}.lock") for name in ("cpu", "dev", "otel", "build")]
    for package in set.union(*(set(one) for one in held)):
        assert len({frozenset(one[package]) for one in held if package in one}) == 1, package


def test_what_builds_the_package_is_locked() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(GROUPS["build"])


ADVISORIES = tomllib.loads((ROOT / "requirements" / "advisories.toml").read_text())["advisory"]


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda advisory: advisory["id"])
def test_no_lock_and_no_lower_bound_has_a_hole_that_is_known(advisory: dict[str, str]) -> None:
    fixed, package = Version(advisory["fixed"]), advisory["package"]
    locked = {version for lock in LOCKS for version in versions(lock).get(package, ())}
    assert locked
    assert all(Version(version) >= fixed for version in locked), f"{advisory['id']}: make lock"
    for requirement in map(Requirement, [text for texts in HELD.values() for text in texts]):
        if requirement.name == package:
            lowest = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
            assert any(Version(version) >= fixed for version in lowest), f"{requirement}: {advisory['id']}"
