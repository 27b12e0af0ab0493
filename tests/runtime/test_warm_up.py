"""Warm-up runs what production will meet, and not for long."""

import logging
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder_model import write_encoder
from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.lengths import DEFAULT_BUCKETS, LengthChanges, LengthSpec
from fovea.runtime.cost import BatchCost
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_version
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.repository import Configured
from fovea.runtime.sample_rows import warm_up_lengths
from fovea.runtime.stopwatch import Duration
from fovea.runtime.warm_up import batch_sizes, measure_cost, run_measured_sizes


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (2, [1, 2]), (7, [1, 2, 4, 7]), (8, [1, 2, 4, 8])])
def test_sizes_double_up_to_the_largest(most, expected):
    assert batch_sizes(most) == expected


class SlowSession:
    """Takes 20 ms a row, by its own clock."""

    max_batch_rows = 16
    batched = True

    def __init__(self) -> None:
        self.now = 0.0

    def stopwatch(self, run: Callable[[], object]) -> Duration:
        begun_s = self.now
        run()
        return Duration(self.now - begun_s, self.now - begun_s)

    def gather(self, requests: list[dict]) -> None:
        self.rows, self.length = len(requests), requests[0]["x"].shape[1]

    def run(self) -> None:
        self.now += 0.02 * self.rows

    def split(self, rows_per_request: list[int]) -> list[dict]:
        return [{} for _ in rows_per_request]


def only_curve(session: SlowSession) -> dict[int, float]:
    """Rows -> seconds of a batch, of a model without lengths."""
    return dict(measure_cost(session, {(): [{"x": np.zeros((1, 2))}]}, session.stopwatch).curves[()])


def test_long_batches_are_not_made_longer():
    session = SlowSession()
    cost_s = only_curve(session)
    assert cost_s == pytest.approx({1: 0.02, 2: 0.04, 4: 0.08})


def test_lengths_that_come_late_are_run_in_the_smallest_batch_only():
    session = SlowSession()
    rows = {(length,): [{"x": np.zeros((1, 2))}] for length in range(1, 20)}
    sizes = [len(curve) for curve in measure_cost(session, rows, session.stopwatch, ["t"]).curves.values()]
    assert len(sizes) == 19
    assert (sizes[0], sizes[-1]) == (3, 1)


def test_long_rows_of_lengths_that_come_late_are_run_once():
    class LongSession(SlowSession):
        def run(self) -> None:
            self.now += 0.1 * self.length

    session = LongSession()
    rows = {(length,): [{"x": np.zeros((1, length))}] for length in (10, 20, 30)}
    cost = measure_cost(session, rows, session.stopwatch, ["t"])
    assert [curve[1] for curve in cost.curves.values()] == pytest.approx([1.0, 2.0, 3.0])
    assert session.now == pytest.approx(2 * 1.0 + 2.0 + 3.0)


def test_a_first_run_that_takes_long_is_no_cost_of_a_model_that_takes_one_row():
    class ColdSession(SlowSession):
        max_batch_rows = 1
        ran = 0

        def run(self) -> None:
            self.now, self.ran = self.now + (0.005 if self.ran else 0.5), self.ran + 1

    assert only_curve(ColdSession()) == pytest.approx({1: 0.005})


def test_operator_is_told_of_lengths_that_were_run_in_single_rows_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    model = write_encoder(tmp_path / "encoder" / "1" / "model.onnx")
    lengths = {"outputs": {"hidden": (1,), "probabilities": (2, 3)}, "mask": "mask", "buckets": (8, 16)}

    def slow(run: Callable[[], object]) -> Duration:
        run()
        return Duration(2.0, 2.0)

    said = Configured(ServingChoices(sequence=LengthChanges(inputs={"tokens": 1}, **lengths)))
    loaded = load_version(model.parent, "encoder", 1, LoadSettings(), said)
    caplog.clear()
    caplog.set_level(logging.INFO)
    loaded.warm_up(None, None, slow)
    told = "encoder version 1: warm-up had no time for more than one row a batch of lengths 8, 16"
    assert caplog.messages == [told]


def test_length_that_a_model_cannot_run_is_told_where_a_shorter_one_runs():
    class ShortSession(SlowSession):
        def run(self) -> None:
            if self.length > 8:
                raise ExecutionFailed("only 8 positions")
            super().run()

    session = ShortSession()
    rows = {(length,): [{"x": np.zeros((1, length))}] for length in (8, 16)}
    with pytest.raises(ModelBroken, match="buckets: t 16 cannot be run: only 8 positions"):
        measure_cost(session, rows, session.stopwatch, ["t"])


class ColdSession(SlowSession):
    """Takes 1 s the first time that it sees a size, and no time to speak of afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def run(self) -> None:
        self.now += 0.001 if self.rows in self.seen else 1.0
        self.seen.add(self.rows)


def test_another_session_runs_every_size_that_was_measured_and_does_without_those_it_cannot():
    class SmallSession(ColdSession):
        def run(self) -> None:
            if self.rows == 8:
                raise ExecutionFailed("out of memory")
            super().run()

    session = SmallSession()
    run_measured_sizes(session, {(): [{"x": np.zeros((1, 2))}]}, BatchCost({(): {1: 0.1, 8: 0.2, 16: 0.3}}))
    assert session.seen == {1, 16}


def test_cold_first_run_does_not_end_the_warm_up():
    session = ColdSession()
    assert list(only_curve(session)) == [1, 2, 4, 8, 16]


def test_costs_are_measured_with_rows_that_differ_and_come_again_only_when_caches_have_lost_them():
    class WatchedSession(SlowSession):
        """Takes no time; notes which rows were run, by their memory, and how many bytes of others came between."""

        def __init__(self) -> None:
            super().__init__()
            self.met: dict[int, int] = {}
            self.bytes_between: list[int] = []
            self.bytes = 0

        def gather(self, requests: list[dict]) -> None:
            super().gather(requests)
            assert len({request["x"].flat[0] for request in requests}) == min(len(requests), 2)
            for array in (request["x"] for request in requests):
                if (place := array.ctypes.data) in self.met:
                    self.bytes_between.append(self.bytes - self.met[place])
                self.bytes += array.nbytes
                self.met[place] = self.bytes

        def run(self) -> None:
            self.now += 0.001

    session = WatchedSession()
    rows = [{"x": np.full((1, 50_000), value)} for value in (1.0, 2.0)]
    measure_cost(session, {(): rows}, session.stopwatch)
    assert min(session.bytes_between) > 7_000_000


class DisturbedSession(SlowSession):
    """Two threads do 2 ms of work a row in half the time, when they are not interrupted: long runs always are."""

    def stopwatch(self, run: Callable[[], object]) -> Duration:
        run()
        work_s, interrupted_s = 0.002 * self.rows, 0.01 if self.rows > 2 else 0.0
        return Duration(work_s, work_s / 2 + interrupted_s)


def test_costs_are_those_of_undisturbed_runs_also_where_every_long_run_is_interrupted():
    session = DisturbedSession()
    cost_s = only_curve(session)
    assert cost_s == pytest.approx({1: 0.001, 2: 0.002, 4: 0.004, 8: 0.008, 16: 0.016})


def test_a_bucket_that_runs_with_no_bucket_of_the_other_length_is_told_and_one_that_runs_with_some_is_served():
    class PickySession(SlowSession):
        """Takes no more of the target than of the source, and never 12."""

        def gather(self, requests: list[dict]) -> None:
            super().gather(requests)
            self.target = requests[0]["y"].shape[1]

        def run(self) -> None:
            if self.target > min(self.length, 11):
                raise ExecutionFailed("too much of the target")
            super().run()

    session = PickySession()
    rows = {(s, t): [{"x": np.zeros((1, s)), "y": np.zeros((1, t))}] for s in (8, 16) for t in (4, 9)}
    cost = measure_cost(session, rows, session.stopwatch, ["source", "target"])
    assert list(cost.curves) == [(8, 4), (16, 4), (16, 9)]
    rows[16, 12] = [{"x": np.zeros((1, 16)), "y": np.zeros((1, 12))}]
    with pytest.raises(ModelBroken, match="buckets: target 12 cannot be run: too much of the target"):
        measure_cost(session, rows, session.stopwatch, ["source", "target"])


def buckets(*each: tuple[int, ...]) -> dict[str, LengthSpec]:
    return {f"length_{place}": LengthSpec(inputs={"x": 1}, buckets=own) for place, own in enumerate(each)}


@given(each=st.lists(st.integers(1, 64), min_size=2, max_size=6))
def test_of_many_buckets_few_are_run_together_always_with_the_first_and_the_last_of_each(each: list[int]) -> None:
    lengths = buckets(*(tuple(range(1, count + 1)) for count in each))
    found = warm_up_lengths(lengths)
    assert len(set(found)) == len(found) <= 64
    assert found[-1] == tuple(each)
    assert found[0] == tuple(1 for _ in each)
    assert set(found) == set(product(*(sorted(set(sizes)) for sizes in zip(*found, strict=True))))


def test_few_buckets_are_all_run_together():
    assert warm_up_lengths(buckets((4, 8), (3, 6, 9))) == list(product((4, 8), (3, 6, 9)))
    assert len(warm_up_lengths(buckets(DEFAULT_BUCKETS))) == len(DEFAULT_BUCKETS)
    assert warm_up_lengths({}) == [()]
