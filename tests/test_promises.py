"""docs/PROMISES.md: each promise has a test that exists, and each bound a setting that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fovea.serving.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "PROMISES.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_promise_names_its_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if "shown by |" not in row]
    assert len(promises) > 20
    assert not [row for row in promises if "::" not in row]


def test_every_setting_that_is_named_exists() -> None:
    flags = {name.replace("_", "-") for name in Settings.model_fields} | {"no-fast-lane"}
    assert not set(re.findall(r"`--([a-z-]+)`", TEXT)) - flags
