"""What is read from a file follows the file, but never into an error."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.serving.security.renewed import Renewed


def number_in(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError) as error:
        raise Misconfigured("no number") from error


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "number"
    file.write_text("1")
    return file


def looking_each_time(file: Path) -> Renewed[int]:
    """By a clock on which every question comes two seconds after the last."""
    return Renewed([file], lambda: number_in(file), count(step=2).__next__)


def test_a_change_is_taken(file: Path) -> None:
    number = looking_each_time(file)
    file.write_text("22")
    assert number.now() == 22


def test_within_a_second_nobody_looks_again(file: Path) -> None:
    number = Renewed([file], lambda: number_in(file), lambda: 0.0)
    file.write_text("22")
    assert number.now() == 1


@pytest.mark.parametrize("fault", ["", "no number", None])
def test_a_file_at_fault_leaves_what_there_was_until_it_is_mended(file: Path, fault: str | None) -> None:
    number = looking_each_time(file)
    file.unlink() if fault is None else file.write_text(fault)
    assert [number.now(), number.now()] == [1, 1]
    file.write_text("333")
    assert number.now() == 333


def test_a_file_that_changes_while_it_is_read_is_read_again(file: Path) -> None:
    def read() -> int:
        number = number_in(file)
        if number == 22:
            file.write_text("333")
        return number

    number = Renewed([file], read, count(step=2).__next__)
    file.write_text("22")
    assert [number.now(), number.now()] == [1, 333]


def test_to_begin_with_a_file_has_to_be_right(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        looking_each_time(tmp_path / "gone")
