"""Kernels and bodies race on the golden batch; a kernel that stumbles has lost."""

import numpy as np

from fovea.contract.errors import ExecutionFailed
from fovea.contract.model_card import TensorSpec
from fovea.runtime.golden import Golden
from fovea.runtime.kernel_choice import race

BATCH = {"x": np.zeros((1, 2), np.float32)}
GOLDEN = Golden(BATCH, {"y": np.zeros((1, 2))}, {})


class Runner:
    """Answers at once, by its own clock; fails at run number `fails_at`."""

    inputs = (TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),)
    batched = False
    now = 0.0

    def __init__(self, fails_at: int | None = None) -> None:
        self.runs, self.fails_at = 0, fails_at

    def infer(self, request: dict) -> dict:
        self.runs += 1
        Runner.now += 0.01
        if self.runs == self.fails_at:
            raise ExecutionFailed("the kernel gave up")
        return {"y": request["x"]}


def test_kernel_that_fails_in_the_race_loses_it():
    assert race(Runner(fails_at=3), Runner(), GOLDEN, lambda: Runner.now) == "with kernels: the kernel gave up"


def test_kernels_as_quick_as_bodies_win():
    assert race(Runner(), Runner(), GOLDEN, lambda: Runner.now) is None
