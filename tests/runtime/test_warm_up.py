"""Batches grow as far as that pays."""

import numpy as np
import pytest

from fovea.runtime.warm_up import batch_sizes, measure_batch_cost, worthwhile_batch_rows


@pytest.mark.parametrize(
    ("cost_s", "expected"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 2.0, 4: 4.0}, 4),
        ({1: 1.0, 2: 2.1, 4: 4.8}, 1),
        ({1: 1.0, 2: 1.5, 4: 2.0, 8: 4.1, 16: 9.0}, 8),
        ({1: 1.0, 2: 2.2, 4: 4.0}, 4),
    ],
)
def test_largest_size_that_costs_no_more_per_row_is_worthwhile(cost_s, expected):
    assert worthwhile_batch_rows(cost_s) == expected


def test_tolerance_widens_what_is_worthwhile():
    assert worthwhile_batch_rows({1: 1.0, 2: 2.1}, tolerance=0.1) == 2


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (2, [1, 2]), (7, [1, 2, 4, 7]), (8, [1, 2, 4, 8])])
def test_sizes_double_up_to_the_largest(most, expected):
    assert batch_sizes(most) == expected


class SlowSession:
    """Takes 20 ms a row, by its own clock."""

    max_batch_rows = 16
    batched = True

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def infer(self, request: dict) -> dict:
        self.now += 0.02 * len(request["x"])
        return {}


def test_long_batches_are_not_made_longer():
    session = SlowSession()
    cost_s = measure_batch_cost(session, {"x": np.zeros((1, 2))}, session.clock)
    assert cost_s == pytest.approx({1: 0.02, 2: 0.04, 4: 0.08})


class ColdSession(SlowSession):
    """Takes 1 s the first time that it sees a size, and no time to speak of afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def infer(self, request: dict) -> dict:
        rows = len(request["x"])
        self.now += 0.001 if rows in self.seen else 1.0
        self.seen.add(rows)
        return {}


def test_cold_first_run_does_not_end_the_warm_up():
    session = ColdSession()
    assert list(measure_batch_cost(session, {"x": np.zeros((1, 2))}, session.clock)) == [1, 2, 4, 8, 16]
