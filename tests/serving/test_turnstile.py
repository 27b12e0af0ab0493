"""Models that share a device take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fovea.serving.turnstile import Turnstile
from servers import wait_until

LONG_S = 20.0


class Queue:
    """Owners that wait for a turn, each on a thread, and the order in which they got it."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.order: list[str] = []
        self._turnstile = turnstile
        self._threads: list[threading.Thread] = []

    def join(self, owners: str) -> None:
        for owner in owners:
            waiting = self._turnstile.waiting
            self._threads.append(threading.Thread(target=self._turn, args=(owner,)))
            self._threads[-1].start()
            wait_until(lambda before=waiting: self._turnstile.waiting > before)  # type: ignore[misc]

    def _turn(self, owner: str) -> None:
        leave = self._turnstile.enter(owner)
        self.order.append(owner)
        leave()

    def finish(self) -> str:
        for thread in self._threads:
            thread.join(LONG_S)
        return "".join(self.order)


def queue_behind(turnstile: Turnstile, owner: str, waiting: str) -> tuple[Queue, Callable[[], None]]:
    leave = turnstile.enter(owner)
    queue = Queue(turnstile)
    queue.join(waiting)
    return queue, leave


def test_a_flood_on_one_model_comes_between_two_turns_of_another_once_at_most() -> None:
    queue, leave = queue_behind(Turnstile(1), "a", "baaaab")
    leave()
    assert queue.finish() == "babaaa"


def test_of_many_the_one_whose_last_turn_is_longest_ago_goes_first() -> None:
    turnstile = Turnstile(1)
    for owner in "cab":
        turnstile.enter(owner)()
    queue, leave = queue_behind(turnstile, "z", "bac")
    leave()
    assert queue.finish() == "cab"


def test_as_many_models_run_at_once_as_there_are_places() -> None:
    turnstile = Turnstile(2)
    first, second = turnstile.enter("a"), turnstile.enter("b")
    queue = Queue(turnstile)
    queue.join("c")
    assert queue.order == []
    second()
    assert queue.finish() == "c"
    first()


def test_instances_of_one_model_run_together_while_nobody_else_waits() -> None:
    turnstile = Turnstile(1)
    first, second = turnstile.enter("a"), turnstile.enter("a")
    queue = Queue(turnstile)
    queue.join("ba")
    first()
    assert queue.order == []
    second()
    assert queue.finish() == "ba"


def test_leaving_twice_ends_one_turn_only() -> None:
    turnstile = Turnstile(1)
    leave = turnstile.enter("a")
    leave()
    other = turnstile.enter("b")
    leave()
    queue = Queue(turnstile)
    queue.join("c")
    other()
    assert queue.finish() == "c"
