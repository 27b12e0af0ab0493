"""Known holes in what the locks name, as the database has them that pip-audit asks.

Status 1 where there is one. Where the database cannot be reached, that is said, and no more: tests/test_locks.py has
held the locks against the committed advisories.toml by then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = sorted(Path(__file__).parent.glob("*.lock"))
LONGEST_S = 300


def audited() -> list[dict[str, Any]]:
    """Every package that was looked up, with its `vulns`; none where the database does not answer."""
    words = ["-f", "json", "--progress-spinner=off", "--disable-pip", *(f"--requirement={lock}" for lock in LOCKS)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError):
        return []
    return [package for package in packages if "vulns" in package]  # the others were skipped


def told(package: dict[str, Any], hole: dict[str, Any]) -> str:
    """A known hole in a line."""
    fixed = ", ".join(hole["fix_versions"]) or "nothing yet"
    return f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}"


def main() -> int:
    """Print what was found; see above."""
    packages = audited()
    if not packages:
        print("not audited: no database of advisories could be asked; the tests know those of advisories.toml")
        return 0
    holes = sorted(told(package, hole) for package in packages for hole in package["vulns"])
    print(f"{len(packages)} packages, {len(holes)} known holes", *holes, sep="\n  ")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
