"""Known holes in what the locks name, as the database has them that pip-audit asks.

Status 1 where there is one. Where the database cannot be asked, the reason is told, and no more: tests/test_locks.py
has held the locks against the committed advisories.toml by then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = sorted(Path(__file__).parent.glob("*.lock"))
LONGEST_S = 300


class NotAudited(Exception):
    """Nothing was looked up; its text tells why."""


def audited() -> list[dict[str, Any]]:
    """Every package that was looked up, with its `vulns`."""
    words = ["-f", "json", "--progress-spinner=off", "--disable-pip", *(f"--requirement={lock}" for lock in LOCKS)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired as error:
        raise NotAudited(f"no answer within {LONGEST_S} s") from error
    except ValueError as error:
        raise NotAudited(done.stderr.strip().rpartition("\n")[2] or "pip-audit says nothing") from error
    if not (found := [package for package in packages if "vulns" in package]):
        raise NotAudited("every package was skipped")
    return found


def told(package: dict[str, Any], hole: dict[str, Any]) -> str:
    """A known hole in a line."""
    fixed = ", ".join(hole["fix_versions"]) or "nothing yet"
    return f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}"


def main() -> int:
    """Print what was found; see above."""
    try:
        packages = audited()
    except NotAudited as error:
        print(f"not audited: {error}; the tests know the holes of advisories.toml")
        return 0
    holes = sorted(told(package, hole) for package in packages for hole in package["vulns"])
    print(f"{len(packages)} packages, {len(holes)} known holes", *holes, sep="\n  ")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
