"""When another attempt follows: pure figures, with a clock and a die of the test's own."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.client.retry import ONCE, Attempts, Retry, pause_s
from fovea.contract.errors import DeadlineExceeded, FoveaError, InvalidRequest, Unavailable

NEVER_S = 1e9


def highest() -> float:
    return 1.0


def test_pauses_double_up_to_the_longest() -> None:
    retry = Retry(attempts=6, first_pause_s=0.1, longest_pause_s=0.5)
    pauses = [pause_s(retry, failed, NEVER_S, highest) for failed in range(1, 7)]
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5, None]


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_anything_from_nothing_to_the_longest(failed: int, drawn: float) -> None:
    retry = Retry(attempts=10_000, first_pause_s=0.1, longest_pause_s=2.0)
    pause = pause_s(retry, failed, NEVER_S, lambda: drawn)
    assert pause is not None
    assert 0 <= pause <= 2.0


def test_a_pause_that_would_outlast_the_deadline_is_not_made() -> None:
    assert pause_s(Retry(first_pause_s=1.0), 1, 0.5, highest) is None


@pytest.mark.parametrize("error", [InvalidRequest("x"), DeadlineExceeded("x"), FoveaError("x")])
def test_only_what_is_unavailable_is_tried_again(error: FoveaError) -> None:
    with pytest.raises(type(error)):
        Attempts(Retry(), 10.0, lambda: 0.0, highest).pause_after(error)


def test_attempts_share_one_deadline() -> None:
    now_s = [100.0]
    attempts = Attempts(Retry(attempts=100, first_pause_s=1.0, longest_pause_s=1.0), 3.5, lambda: now_s[0], highest)
    left_s = []
    with suppress(Unavailable):
        while True:
            left_s.append(attempts.left_s)
            now_s[0] += attempts.pause_after(Unavailable("full"))
    assert left_s == [3.5, 2.5, 1.5, 0.5]


def test_once_is_once() -> None:
    with pytest.raises(Unavailable):
        Attempts(ONCE, 10.0, lambda: 0.0, highest).pause_after(Unavailable("full"))
