"""`make audit`: what it makes of pip-audit's words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[1] / "requirements" / "audit.py"
SKIPPED = {"name": "numpy", "skip_reason": "Dependency not found"}
CLEAN = {"name": "rich", "version": "15.0.0", "vulns": []}
HOLED = {"name": "pillow", "version": "11.0.0", "vulns": [{"id": "CVE-1", "fix_versions": ["13.0.0"]}]}


@pytest.mark.parametrize(
    ("packages", "status", "told"),
    [
        ([SKIPPED], 0, "not audited: every package was skipped; "),
        ([SKIPPED, CLEAN], 0, "1 packages, 0 known holes\n"),
        ([CLEAN, HOLED], 1, "2 packages, 1 known holes\n  pillow 11.0.0: CVE-1, fixed in 13.0.0\n"),
        (None, 0, "not audited: ConnectionError: no network; "),
    ],
)
def test_an_audit_fails_for_what_is_found_and_tells_where_nobody_could_be_asked(
    tmp_path: Path, packages: list[dict[str, Any]] | None, status: int, told: str
) -> None:
    text = json.dumps({"dependencies": packages})
    program = "raise ConnectionError('no network')" if packages is None else f"print({text!r})"
    (tmp_path / "pip_audit.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, AUDIT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[: len(told)]) == (status, told)
