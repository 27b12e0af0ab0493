"""Who looks around does so while there is something to see, and misses nothing that comes as he falls asleep."""

from __future__ import annotations

import threading

from fovea.serving.engines.batching.caller_watch import CallerWatch

LONG_S = 20.0


def look_through(looks: list[bool]) -> None:
    """Wake a lookout that sees these, one after another; it has to come to the last."""
    seen = threading.Event()

    def look() -> bool:
        more = looks.pop(0)
        if not looks:
            seen.set()
        return more

    lookout = CallerWatch(look)
    assert lookout.asleep
    lookout.wake()
    assert seen.wait(LONG_S)
    lookout.close()
    assert looks == []


def test_it_looks_from_when_it_is_woken_until_there_is_nothing_more() -> None:
    look_through([True, True, False, False])


def test_what_comes_between_the_last_two_looks_keeps_it_awake() -> None:
    look_through([False, True, False, False])


def test_it_can_be_woken_again_and_an_error_does_not_end_it() -> None:
    looked, errors = threading.Semaphore(0), [ValueError("once")]

    def look() -> bool:
        looked.release()
        if errors:
            raise errors.pop()
        return False

    lookout = CallerWatch(look)
    for _ in range(3):
        lookout.wake()
        assert looked.acquire(timeout=LONG_S)
    lookout.close()
