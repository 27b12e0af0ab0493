"""docs/SETTINGS.md is what the settings say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_settings_is_the_settings() -> None:
    compared = subprocess.run([sys.executable, "docs/settings_page.py", "--check"], cwd=ROOT, check=False)
    assert compared.returncode == 0, "`make settings` writes it anew"


def test_every_key_of_model_toml_is_explained() -> None:
    from fovea.runtime.model_toml import ServingChoices

    text = (ROOT / "docs" / "SETTINGS.md").read_text() + (ROOT / "README.md").read_text()
    explained = set(re.findall(r"`\[?(\w+)(?:\]| = [^`]+)?`", text)) | set(re.findall(r"^\[(\w+)", text, re.MULTILINE))
    assert set(ServingChoices.model_fields) <= explained
