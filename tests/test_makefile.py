"""What `make` puts into .venv: what the locks name, one of ONNX Runtime's two wheels, Fovea under its present name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIP = """#!/bin/sh
[ "$1" = show ] && exec grep -qx "$3" installed
echo "$*" >>said
case "$*" in
*uninstall*) for name; do sed -i "/^$name$/d" installed; done ;;
*gpu.lock*) echo onnxruntime-gpu >>installed ;;
*cpu.lock*) echo onnxruntime >>installed ;;
esac
"""
(TORCH,) = re.findall(r'"(torch==.*?)"', (ROOT / "pyproject.toml").read_text())
OWN = "install --progress-bar off --no-build-isolation --no-deps -e ."


def locked(*names: str) -> str:
    """What pip is asked where it has to install what locks name, and nothing else."""
    files = " ".join(f"-r requirements/{name}.lock" for name in names)
    return f"install --progress-bar off --require-hashes {files} --no-deps"


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose pip and pytest only write down what they were asked."""
    for name in ("Makefile", "pyproject.toml", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    for variable in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "FOVEA_CONTROL_MODE", "FOVEA_POLL_S"):
        monkeypatch.delenv(variable, raising=False)  # of the make that runs the tests
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, script in (("pip", PIP), ("pytest", "#!/bin/sh\n"), ("fovea", "#!/bin/sh\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    (tmp_path / "installed").touch()
    (tmp_path / "requirements").mkdir()
    for path in (ROOT / "requirements").glob("*.lock"):
        shutil.copy(path, tmp_path / "requirements")
    return tmp_path


def make(checkout: Path, *words: str) -> list[str]:
    """What pip was asked to do."""
    (checkout / "said").write_text("")
    subprocess.run(["make", "PYTHON=true", *words], cwd=checkout, check=True, capture_output=True)
    return (checkout / "said").read_text().splitlines()


@pytest.mark.parametrize("runtime", ["cpu", "gpu"])
def test_tests_run_on_the_runtime_that_serves(checkout: Path, runtime: str) -> None:
    assert make(checkout, "serve", f"RUNTIME={runtime}") == [locked("build", runtime), OWN]
    assert make(checkout, "test", f"RUNTIME={runtime}") == [
        locked("dev"),
        f"install --progress-bar off --no-build-isolation {TORCH}",
    ]
    assert make(checkout, "serve", f"RUNTIME={runtime}") == []
    assert make(checkout, "test", f"RUNTIME={runtime}") == []


def test_the_other_runtime_goes_before_this_one_comes(checkout: Path) -> None:
    make(checkout, "test", "RUNTIME=gpu")
    there_and_back = [make(checkout, "serve", f"RUNTIME={runtime}")[:2] for runtime in ("cpu", "gpu")]
    uninstalled = "uninstall -q -y onnxruntime-gpu onnxruntime"
    assert there_and_back == [[uninstalled, locked("build", "cpu")], [uninstalled, locked("build", "gpu")]]
    assert (checkout / "installed").read_text().split() == ["onnxruntime-gpu"]


def test_what_was_installed_under_the_old_name_goes_before_the_new_one_comes(checkout: Path) -> None:
    (checkout / "installed").write_text("fovea\n")
    assert make(checkout, "serve", "RUNTIME=cpu") == ["uninstall -q -y fovea", locked("build", "cpu"), OWN]


def test_a_renewed_lock_is_installed(checkout: Path) -> None:
    make(checkout, "serve", "RUNTIME=cpu")
    os.utime(checkout / "requirements" / "cpu.lock", (time.time() + 10,) * 2)
    assert make(checkout, "serve", "RUNTIME=cpu") == [locked("build", "cpu"), OWN]


def test_an_install_that_fails_ends_make_although_its_words_are_filtered(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "pip").write_text("#!/bin/sh\n[ $1 = show ] || echo no such package; exit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        make(checkout, "serve", "RUNTIME=cpu")


def test_a_first_hour_sees_that_something_is_fetched_and_what_make_serve_serves_follows_the_folder(
    checkout: Path,
) -> None:
    pip = '#!/bin/sh\n[ $1 = show ] && exit 1\nprintf "Collecting a\\n  Downloading a-1-py3.whl (12.3 MB)\\n"\n'
    (checkout / ".venv" / "bin" / "pip").write_text(pip)
    (checkout / ".venv" / "bin" / "fovea").write_text('#!/bin/sh\necho "$FOVEA_CONTROL_MODE"\n')
    done = subprocess.run(
        ["make", "PYTHON=true", "RUNTIME=cpu", "serve"], cwd=checkout, check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Installing Fovea into .venv")
    assert "  a-1-py3.whl (12.3 MB)" in lines
    assert "Collecting a" not in lines
    assert lines[-1] == "poll"
