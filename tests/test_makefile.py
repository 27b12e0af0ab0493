"""Which of ONNX Runtime's two wheels `make` puts into .venv. They share a folder: never both."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIP = """#!/bin/sh
[ "$1" = show ] && exec grep -qx "$3" installed
echo "$*" >>said
case "$*" in
*uninstall*) : >installed ;;
*gpu*) echo onnxruntime-gpu >>installed ;;
*cpu*) echo onnxruntime >>installed ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose pip and pytest only write down what they were asked."""
    for name in ("Makefile", "pyproject.toml", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, script in (("pip", PIP), ("pytest", "#!/bin/sh\n"), ("fovea", "#!/bin/sh\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    (tmp_path / "installed").touch()
    return tmp_path


def make(checkout: Path, *words: str) -> list[str]:
    """What pip was asked to do."""
    (checkout / "said").write_text("")
    subprocess.run(["make", "PYTHON=true", *words], cwd=checkout, check=True, capture_output=True)
    return (checkout / "said").read_text().splitlines()


@pytest.mark.parametrize("runtime", ["cpu", "gpu"])
def test_tests_run_on_the_runtime_that_serves(checkout: Path, runtime: str) -> None:
    assert make(checkout, "serve", f"RUNTIME={runtime}") == [f"install -q -e .[{runtime}]"]
    assert make(checkout, "test", f"RUNTIME={runtime}") == ["install -q -e .[dev,export]"]
    assert make(checkout, "serve", f"RUNTIME={runtime}") == []
    assert make(checkout, "test", f"RUNTIME={runtime}") == []


def test_the_other_runtime_goes_before_this_one_comes(checkout: Path) -> None:
    make(checkout, "test", "RUNTIME=gpu")
    there_and_back = [make(checkout, "serve", f"RUNTIME={runtime}") for runtime in ("cpu", "gpu")]
    uninstalled = "uninstall -q -y onnxruntime-gpu onnxruntime"
    assert there_and_back == [[uninstalled, "install -q -e .[cpu]"], [uninstalled, "install -q -e .[gpu]"]]
    assert (checkout / "installed").read_text().split() == ["onnxruntime-gpu"]
