"""Kernels against bodies, on time: which of two sessions of a model this device runs faster."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from statistics import fmean

from fovea.contract.errors import ExecutionFailed
from fovea.runtime.golden import Golden, run_golden
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.session import ModelSession

_FEWEST_TURNS = 5
_LONGEST_RACE_S = 2.0
"""After this, one turn must do: nobody waits half a minute for a slow model's race."""
_RACE_S = 0.1
"""Quick models run more often than `_FEWEST_TURNS`, this long in all. On a machine with thrice the work it has cores
for, the quickest of 0.03 s of runs of one row strayed by 1 %, of four rows by 2 to 6 % (their median by 50 % and more).
"""
_RACE_MARGIN = 1.05
"""Kernels must be this much slower before they lose: less is noise."""


def race(fused: ModelSession, bodies: ModelSession, golden: Golden, clock: Callable[[], float]) -> Obstacle | None:
    """Why bodies win; None where kernels take as little time a row.

    One row, as a single caller sends it, and the whole golden batch count alike, each with its quickest run: what
    disturbs a run only ever makes it longer. Sessions take turns, so that a disturbance hits both.
    """
    batches = {1: golden.first_row(), golden.rows: golden} if bodies.batched else {1: golden}
    quickest_s: dict[tuple[ModelSession, int], float] = {}
    begin, turn = clock(), 0
    while _goes_on(turn, clock() - begin):
        for session in (fused, bodies) if turn % 2 else (bodies, fused):
            for rows, batch in batches.items():
                try:
                    taken_s = _timed(session, batch, clock)
                except ExecutionFailed as error:
                    if session is bodies:
                        raise
                    return Obstacle(Cause.FAILED, f"with kernels: {error}")
                quickest_s[session, rows] = min(taken_s, quickest_s.get((session, rows), inf))
        turn += 1
    kernels_s, bodies_s = (fmean(quickest_s[one, rows] / rows for rows in batches) for one in (fused, bodies))
    if kernels_s <= bodies_s * _RACE_MARGIN:
        return None
    return Obstacle(Cause.SLOWER, f"kernels took {kernels_s * 1e3:.3g} ms a row, bodies {bodies_s * 1e3:.3g} ms")


def _goes_on(turns: int, elapsed_s: float) -> bool:
    fewest = _FEWEST_TURNS if elapsed_s < _LONGEST_RACE_S else 1
    return turns < fewest or elapsed_s < _RACE_S


def _timed(session: ModelSession, batch: Golden, clock: Callable[[], float]) -> float:
    start = clock()
    run_golden(session, batch)
    return clock() - start
