"""One change at a time of each model, in order; changes of different models wait for each other nowhere."""

from __future__ import annotations

import threading

import pytest

from fovea.serving.lifecycle.change_turns import Turns, side_by_side
from servers import wait_until

LONG_S = 20.0


def test_changes_of_one_model_go_one_after_another_in_order() -> None:
    turns, begun, free, done = Turns(), threading.Event(), threading.Event(), list[int]()

    def hold() -> None:
        with turns.of("a"):
            begun.set()
            assert free.wait(LONG_S)

    def note(number: int) -> None:
        with turns.of("a"):
            done.append(number)

    holder = threading.Thread(target=hold)
    holder.start()
    assert begun.wait(LONG_S)
    threads = []
    for number in range(5):
        threads += [threading.Thread(target=note, args=(number,))]
        threads[-1].start()
        wait_until(lambda waiting=number + 1: turns.waiting("a") == waiting)
    assert turns.is_changing("a")
    assert not turns.is_changing("b")
    free.set()
    for thread in [holder, *threads]:
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


def test_no_jobs_take_no_threads() -> None:
    assert side_by_side([]) == []
