"""Known holes in what the locks name, as the databases have them that pip-audit asks.

Status 1 where there is one. Where no database can be reached, that is said, and no more: tests/test_locks.py has held
the locks against the committed advisories.toml by then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = sorted(HERE.glob("*.lock"))
LONGEST_S = 120


def found_in(lock: Path) -> list[dict[str, Any]] | None:
    """What pip-audit says of every package in a lock; None where it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "-f", "json", "--progress-spinner=off", "--disable-pip", "-r", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return packages if any("vulns" in package for package in packages) else None  # else each was skipped, or none named


def holes(packages: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each."""
    for package in packages:
        for hole in package.get("vulns", ()):
            fixed = ", ".join(hole["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}"


def main() -> int:
    """Print what was found; see above."""
    status = 0
    for lock in LOCKS:
        packages = found_in(lock)
        if packages is None:
            print(f"{lock.name}: not audited, as no database of advisories could be asked")
            continue
        lines = sorted(set(holes(packages)))
        print(f"{lock.name}: {len(packages)} packages, {len(lines)} known holes", *lines, sep="\n  ")
        status = 1 if lines else status
    return status


if __name__ == "__main__":
    sys.exit(main())
