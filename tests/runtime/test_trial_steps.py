"""Of a session, the trial runs the sizes that there is time for."""

from collections.abc import Callable

import numpy as np
import pytest

from fovea.runtime.stopwatch import Duration
from fovea.runtime.trial_steps import run_sizes


class Session:
    """Notes the sizes of the batches that it runs, of which `cost_s` says what they take."""

    max_batch_rows, batched = 32, True

    def __init__(self, cost_s: Callable[[int], float]) -> None:
        self.cost_s, self.now = cost_s, 0.0
        self.sizes: list[int] = []

    def infer(self, request: dict) -> dict:
        self.sizes.append(len(request["x"]))
        self.now += self.cost_s(self.sizes[-1])
        return {}

    def stopwatch(self, run: Callable[[], object]) -> Duration:
        begun_s = self.now
        run()
        return Duration(self.now - begun_s, 3 * (self.now - begun_s))  # a busy machine


@pytest.mark.parametrize(
    ("cost_s", "sizes"),
    [
        (lambda rows: 0.0001 * rows, [1, 8, 32]),
        (lambda rows: 0.02 * rows, [1, 8]),
        (lambda rows: 0.04 * rows, [1, 4]),
        (lambda rows: 9.0 * rows, [1]),
        (lambda rows: 0.0001 * rows**4, [1, 8]),
    ],
    ids=["quick", "slow", "slower", "far too slow", "as the fourth power of its rows"],
)
def test_a_session_is_run_in_the_sizes_that_there_is_time_for(cost_s: Callable[[int], float], sizes: list[int]) -> None:
    session = Session(cost_s)
    run_sizes(session, {"x": np.zeros((1, 2))}, session.stopwatch)
    assert session.sizes == sizes


def test_a_size_that_was_run_before_is_not_run_again():
    session = Session(lambda rows: 0.02 * rows)
    run_sizes(session, {"x": np.zeros((1, 2))}, session.stopwatch, {4: 0.08})
    assert session.sizes == [1, 8]


def test_what_a_sessions_first_run_took_keeps_no_size_from_being_run():
    session = Session(lambda rows: 0.001 * rows)
    run_sizes(session, {"x": np.zeros((1, 2))}, session.stopwatch, {4: 0.13})
    assert session.sizes == [1, 8, 32]
