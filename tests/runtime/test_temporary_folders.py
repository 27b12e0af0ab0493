"""What killed processes leave behind is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fovea.runtime.temporary_folders import PREFIX, TemporaryFolder, remove_left_behind

LEAVES = """
import os
from fovea.runtime.temporary_folders import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "below").mkdir()
(folder.path / "below" / "file").write_text("kept")
print(folder.path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(temporary: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    said = subprocess.run([sys.executable, "-c", LEAVES], env=environment, capture_output=True, text=True, check=False)
    left = Path(said.stdout.strip())
    assert (left / "below" / "file").exists()
    with TemporaryFolder() as own:
        assert remove_left_behind() == 1
        assert list(temporary.iterdir()) == [own]
    assert list(temporary.iterdir()) == []


def test_links_and_folders_of_other_names_are_left_alone(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("kept")
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").write_text("kept")
    (temporary / "fovea-data").mkdir()
    inside = temporary / f"{PREFIX}inside"
    inside.mkdir()
    (inside / "link").symlink_to(elsewhere)
    assert remove_left_behind() == 1
    assert {path.name for path in temporary.iterdir()} == {f"{PREFIX}file", f"{PREFIX}link", "fovea-data"}
    assert (elsewhere / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_the_folder_of_another_user_is_left_alone(temporary: Path) -> None:
    theirs = temporary / f"{PREFIX}theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    assert remove_left_behind() == 0
    assert theirs.exists()


def test_a_folder_that_was_taken_for_one_left_behind_before_it_was_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def make_and_lose_the_first(**where: str) -> str:
        made.append(make(**where))
        if len(made) == 1:
            assert remove_left_behind() == 1
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose_the_first)
    with TemporaryFolder() as folder:
        assert [str(folder)] == made[1:]
