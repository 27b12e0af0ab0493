"""Kernels and bodies race on one row and on the golden batch; a kernel that stumbles has lost."""

from collections.abc import Callable

import numpy as np

from fovea.contract.errors import ExecutionFailed
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.golden import Golden
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.race import race
from fovea.runtime.stopwatch import Duration

BATCH = {"x": np.zeros((1, 2), np.float32)}
GOLDEN = Golden(BATCH, {"y": np.zeros((1, 2))}, {})
FOUR = Golden({"x": np.zeros((4, 2), np.float32)}, {"y": np.zeros((4, 2))}, {})
QUICK = {1: 0.01, 2: 0.02, 4: 0.04}


class Runner:
    """Takes processor time as `cost_s` says, in two runs of three ten times that where it is `disturbed`.

    By the clock it takes `waits_s` more. It fails at run number `fails_at`.
    """

    inputs = (TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),)
    made_inputs = ()
    max_batch_rows = 8
    now = Duration(0.0, 0.0)

    def __init__(self, cost_s: dict[int, float], *, fails_at=0, disturbed=False, batched=True, waits_s=0.0) -> None:
        self.cost_s, self.fails_at, self.disturbed, self.batched = cost_s, fails_at, disturbed, batched
        self.waits_s = waits_s
        self.runs = 0

    def infer(self, request: dict) -> dict:
        self.runs += 1
        taken_s = self.cost_s[len(request["x"])] * (10 if self.disturbed and self.runs % 3 else 1)
        Runner.now = Duration(Runner.now.processor_s + taken_s, Runner.now.elapsed_s + taken_s + self.waits_s)
        if self.runs == self.fails_at:
            raise ExecutionFailed("the kernel gave up")
        return {"y": request["x"]}


def stopwatch(run: Callable[[], object]) -> Duration:
    begun = Runner.now
    run()
    return Duration(Runner.now.processor_s - begun.processor_s, Runner.now.elapsed_s - begun.elapsed_s)


def hold(kernels: Runner, bodies: Runner, golden: Golden = FOUR) -> Obstacle | None:
    return race(kernels, bodies, golden, stopwatch)


def test_kernel_that_fails_in_the_race_loses_it():
    assert hold(Runner(QUICK, fails_at=3), Runner(QUICK)) == Obstacle(Cause.FAILED, "with kernels: the kernel gave up")


def test_kernels_as_quick_as_bodies_win():
    assert hold(Runner(QUICK), Runner(QUICK)) is None
    assert hold(Runner(QUICK, batched=False), Runner(QUICK, batched=False), GOLDEN) is None


def test_slower_kernels_lose_and_the_reason_has_the_times():
    lost = hold(Runner({1: 0.02, 4: 0.08}), Runner(QUICK))
    assert lost == Obstacle(Cause.SLOWER, "kernels took 20 ms of processor time a row, bodies 10 ms")


def test_disturbed_runs_do_not_decide():
    assert hold(Runner(QUICK, disturbed=True), Runner({1: 0.012, 4: 0.08})) is None


def test_what_kernels_win_on_one_row_they_may_lose_on_many():
    assert hold(Runner({1: 0.005, 4: 0.025}), Runner({1: 0.01, 4: 0.02})) is None
    lost = hold(Runner({1: 0.01, 4: 0.12}), Runner({1: 0.011, 4: 0.04}))
    assert lost is not None
    assert lost.cause is Cause.SLOWER


def test_rows_that_take_long_race_in_twos_and_those_that_take_too_long_alone():
    slow, slower = Runner({1: 0.03, 2: 0.06}), Runner({1: 0.06})
    assert hold(slow, Runner({1: 0.03, 2: 0.03})) == Obstacle(
        Cause.SLOWER, "kernels took 30 ms of processor time a row, bodies 22.5 ms"
    )
    assert hold(slower, Runner({1: 0.06})) is None


def test_what_a_run_waits_for_a_processor_does_not_decide_unless_it_is_long():
    assert hold(Runner(QUICK, waits_s=0.01), Runner(QUICK)) is None
    lost = hold(Runner(QUICK, waits_s=0.1), Runner(QUICK))
    assert lost == Obstacle(Cause.SLOWER, "kernels took 72.5 ms a row, bodies 10 ms")


def test_a_close_race_goes_on_for_longer():
    far, near = Runner({1: 0.0005, 4: 0.002}), Runner({1: 0.00102, 4: 0.00408})
    for kernels in (far, near):
        hold(kernels, Runner({1: 0.001, 4: 0.004}))
    assert near.runs > 2 * far.runs


def test_a_very_slow_model_runs_once_each():
    kernels = Runner({1: 1.5})
    assert hold(kernels, Runner({1: 1.5})) is None
    assert kernels.runs == 1


def test_of_a_model_that_is_not_batched_single_rows_race_and_three_that_agree_are_enough():
    kernels, disturbed = Runner({1: 0.06}), Runner({1: 0.06}, disturbed=True)
    for each in (kernels, disturbed):
        assert hold(each, Runner({1: 0.12})) is None
    assert kernels.runs == 3
    assert disturbed.runs == 4


def test_a_first_run_that_takes_long_does_not_keep_the_golden_batch_from_racing():
    class Cold(Runner):
        def infer(self, request: dict) -> dict:
            if not self.runs:
                Runner.now = Duration(Runner.now.processor_s + 0.2, Runner.now.elapsed_s + 0.2)
            return super().infer(request)

    verdict = hold(Runner({1: 0.004, 4: 0.04}), Cold({1: 0.004, 4: 0.004}))
    assert verdict is not None
    assert verdict.cause is Cause.SLOWER


def test_a_clear_race_is_over_once_its_least_costs_are_confirmed():
    clear, disturbed = Runner({1: 0.0001, 4: 0.0004}), Runner({1: 0.0001, 4: 0.0004}, disturbed=True)
    for kernels in (clear, disturbed):
        assert hold(kernels, Runner({1: 0.0002, 4: 0.0008})) is None
    assert clear.runs == 2 * 5
    assert disturbed.runs > 2 * 5
