"""Which versions a change of the repository loads and lets go, as decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from fovea.serving.lifecycle.model_entries import VersionEntry, VersionState
from fovea.serving.lifecycle.reload_plan import Source, to_let_go, to_load
from fovea.serving.lifecycle.repository_watch import RepositoryWatch

SERVED = cast("Any", object())
READY = VersionEntry(VersionState.READY, "", SERVED)
REFUSED = VersionEntry(VersionState.READY, "newer files are not served", SERVED)
BROKEN = VersionEntry(VersionState.UNAVAILABLE, "broken")


def source(text: str) -> Source:
    return cast("Source", text)


def held(**versions: VersionEntry) -> dict[str, VersionEntry]:
    return {name.removeprefix("v"): entry for name, entry in versions.items()}


def from_source(entry: VersionEntry, text: str) -> VersionEntry:
    return VersionEntry(entry.state, entry.reason, entry.served, text)


@pytest.mark.parametrize(
    ("entry", "again", "loads"),
    [
        (None, False, True),
        (from_source(READY, "old"), False, True),
        (from_source(READY, "new"), False, False),
        (from_source(READY, "new"), True, False),
        (from_source(BROKEN, "new"), False, False),
        (from_source(BROKEN, "new"), True, True),
        (from_source(REFUSED, "new"), True, True),
    ],
)
def test_what_is_new_or_changed_is_loaded_and_what_failed_only_when_asked_again(
    entry: VersionEntry | None, again: bool, loads: bool
) -> None:
    versions = {"1": entry} if entry else {}
    assert to_load({"1": source("new")}, versions, again=again) == (["1"] if loads else [])


@pytest.mark.parametrize(
    ("wanted", "there", "versions", "leaving"),
    [
        ("2", "12", held(v1=READY, v2=READY), ["1"]),
        ("2", "12", held(v1=READY, v2=BROKEN), []),
        ("2", "12", held(v1=READY, v2=REFUSED), []),
        ("1", "1", held(v1=READY, v2=READY), ["2"]),
        ("1", "1", held(v1=BROKEN, v2=READY), []),
        ("23", "23", held(v1=READY, v2=BROKEN, v3=READY), ["1"]),
        ("23", "123", held(v1=READY, v2=BROKEN, v3=READY), []),
        ("", "1", held(v1=READY), []),
        ("", "", held(v1=READY, v2=BROKEN), ["1", "2"]),
        ("2", "2", held(v1=BROKEN, v2=READY), ["1"]),
    ],
)
def test_a_version_is_let_go_only_once_another_stands_in_for_it(
    wanted: str, there: str, versions: dict[str, VersionEntry], leaving: list[str]
) -> None:
    assert to_let_go(list(wanted), list(there), versions) == leaving


def write(repository: Path, content: str, model: str = "m") -> Path:
    path = repository / model / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def looks(watch: RepositoryWatch, times: int = 2) -> list[list[str]]:
    return [sorted(watch.changed()) for _ in range(times)]


def test_a_model_is_told_of_once_its_files_rest(tmp_path: Path) -> None:
    watch = RepositoryWatch(tmp_path)
    write(tmp_path, "a")
    assert looks(watch, 3) == [[], ["m"], []]
    write(tmp_path, "ab")
    assert looks(watch, 1) == [[]]
    write(tmp_path, "abc")
    assert looks(watch, 3) == [[], ["m"], []]


def test_a_folder_that_is_moved_out_for_its_successor_is_not_gone(tmp_path: Path) -> None:
    watch = RepositoryWatch(tmp_path)
    write(tmp_path, "a")
    write(tmp_path, "b", ".next")
    looks(watch)
    (tmp_path / "m").rename(tmp_path / ".last")
    assert looks(watch, 1) == [[]]
    (tmp_path / ".next").rename(tmp_path / "m")
    assert looks(watch, 2) == [[], ["m"]]


def test_a_model_whose_folder_stays_away_is_gone(tmp_path: Path) -> None:
    watch = RepositoryWatch(tmp_path)
    write(tmp_path, "a")
    looks(watch)
    (tmp_path / "m").rename(tmp_path / ".last")
    assert [watch.changed() for _ in range(3)] == [{}, {"m": None}, {}]


def test_a_version_that_is_a_link_is_looked_at_where_it_leads(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write(tmp_path, "a", "elsewhere")
    (repository / "m").mkdir(parents=True)
    (repository / "m" / "1").symlink_to(tmp_path / "elsewhere" / "1")
    watch = RepositoryWatch(repository)
    assert looks(watch, 3) == [[], ["m"], []]
    write(tmp_path, "ab", "elsewhere")
    assert looks(watch, 2) == [[], ["m"]]
