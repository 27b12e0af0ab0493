"""One change at a time of each model, in order; changes of different models wait for each other nowhere."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest

from fovea.serving.lifecycle.change_turns import Turns, side_by_side

LONG_S = 20.0


def test_changes_of_one_model_go_one_after_another_in_order() -> None:
    turns, done = Turns(), list[int]()

    def note(number: int, turn: AbstractContextManager[None]) -> None:
        with turn:
            done.append(number)

    threads = [threading.Thread(target=note, args=(number, turns.of("a"))) for number in range(5)]
    assert turns.is_changing("a")
    assert not turns.is_changing("b")
    for thread in reversed(threads):
        assert done == []
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert done == [0, 1, 2, 3, 4]
    assert turns.idle


def test_a_change_waits_for_no_other_models() -> None:
    turns = Turns()
    with turns.of("a"), turns.of("b"):
        assert not turns.idle
    assert turns.idle


def test_jobs_that_fail_or_hang_end_no_other(caplog: pytest.LogCaptureFixture) -> None:
    hanging, free, done = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        free.wait(LONG_S)

    def fail() -> None:
        raise RuntimeError("why")

    threads = side_by_side([hang, fail, done.set])
    assert done.wait(LONG_S)
    assert hanging.is_set()
    free.set()
    for thread in threads:
        thread.join(LONG_S)
    assert "a change of a model failed" in caplog.text


def test_where_no_threads_are_to_be_had_jobs_are_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = list[int]()
    assert side_by_side([lambda: done.append(1), lambda: done.append(2)]) == []
    assert done == [1, 2]


def test_no_jobs_take_no_threads() -> None:
    assert side_by_side([]) == []
