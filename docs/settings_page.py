"""Writes the table of settings in docs/SETTINGS.md (`make settings`); with --check, status 1 where it differs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from fovea.cli.setting_flags import flag, shown_default, variable
from fovea.serving.settings import Settings

PAGE = Path(__file__).with_name("SETTINGS.md")
_TABLE = re.compile(r"(<!-- settings -->\n).*?(<!-- end of settings -->)", re.DOTALL)


def settings_table() -> str:
    """One row per setting: flag, variable, default, what it trades."""
    rows = [
        f"| `{flag(name)}` | `{variable(name)}` | `{shown_default(field)}` | {_escaped(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| flag | variable | default | what it does |", "|---|---|---|---|", *rows])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(words: Sequence[str]) -> int:
    """Write or compare."""
    before = PAGE.read_text()
    after = _TABLE.sub(lambda found: f"{found[1]}{settings_table()}\n{found[2]}", before, count=1)
    if "--check" in words:
        return int(before != after)
    PAGE.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
