"""Kernels against bodies, on time: which of two sessions of a model this device runs at less cost.

Processor time decides, not the clock's: on a machine with other work it is luck which of the two is interrupted, and
which gets the help of a second thread (quickest runs strayed by a third, processor time by 4 %).
"""

from __future__ import annotations

from functools import partial
from statistics import fmean

from fovea.contract.errors import ExecutionFailed
from fovea.runtime.golden import Golden, run_golden
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.session import ModelSession
from fovea.runtime.stopwatch import Stopwatch, Taken

_FEWEST_TURNS = 5
_LONGEST_RACE_S = 2.0
"""By the clock. After this, one turn must do: nobody waits half a minute for a slow model's race."""
_RACE_S = 0.1
"""Processor time. Quick models run more often than `_FEWEST_TURNS`, this long in all."""
_CLOSE_RACE_S = 0.5
"""The same, where it is close."""
_RACE_MARGIN = 1.05
"""Kernels must be this much costlier before they lose: less is noise, and a tie is theirs."""
_CLOSE = 0.05
_LONGEST_WAIT = 3.0
"""Kernels that take so many times as long by the clock lose too: waiting costs no processor time."""


class _Lane:
    """One session's least cost of each batch so far."""

    def __init__(self, session: ModelSession, batches: dict[int, Golden]) -> None:
        self._session, self._batches = session, batches
        self._least: dict[int, Taken] = {}

    def run(self, stopwatch: Stopwatch) -> Taken:
        """One more run of every batch; what they took in all."""
        runs = {rows: partial(run_golden, self._session, batch) for rows, batch in self._batches.items()}
        taken = {rows: stopwatch(run) for rows, run in runs.items()}
        self._least = {rows: one.at_most(self._least.get(rows, one)) for rows, one in taken.items()}
        return Taken(sum(one.processor_s for one in taken.values()), sum(one.elapsed_s for one in taken.values()))

    @property
    def row(self) -> Taken:
        """Of a row, the mean over the batches."""
        least = self._least.items()
        return Taken(
            fmean(one.processor_s / rows for rows, one in least), fmean(one.elapsed_s / rows for rows, one in least)
        )


def race(fused: ModelSession, bodies: ModelSession, golden: Golden, stopwatch: Stopwatch) -> Obstacle | None:
    """Why bodies win; None where kernels cost as little a row.

    One row, as a single caller sends it, and the whole golden batch count alike, each with its cheapest run: what
    disturbs a run only ever makes it dearer. Sessions take turns, so that a disturbance hits both.
    """
    batches = {1: golden.first_row(), golden.rows: golden} if bodies.batched else {1: golden}
    ours, theirs = _Lane(fused, batches), _Lane(bodies, batches)
    turn, processor_s, elapsed_s = 0, 0.0, 0.0
    while turn == 0 or _goes_on(turn, processor_s, elapsed_s, _is_close(ours.row, theirs.row)):
        for lane in (ours, theirs) if turn % 2 else (theirs, ours):
            try:
                taken = lane.run(stopwatch)
            except ExecutionFailed as error:
                if lane is theirs:
                    raise
                return Obstacle(Cause.FAILED, f"with kernels: {error}")
            processor_s, elapsed_s = processor_s + taken.processor_s, elapsed_s + taken.elapsed_s
        turn += 1
    return _verdict(ours.row, theirs.row)


def _goes_on(turns: int, processor_s: float, elapsed_s: float, close: bool) -> bool:
    if elapsed_s >= _LONGEST_RACE_S:
        return False
    return turns < _FEWEST_TURNS or processor_s < (_CLOSE_RACE_S if close else _RACE_S)


def _is_close(kernels: Taken, bodies: Taken) -> bool:
    return abs(kernels.processor_s - bodies.processor_s * _RACE_MARGIN) < bodies.processor_s * _CLOSE


def _verdict(kernels: Taken, bodies: Taken) -> Obstacle | None:
    for ours_s, theirs_s, most, of in (
        (kernels.processor_s, bodies.processor_s, _RACE_MARGIN, " of processor time"),
        (kernels.elapsed_s, bodies.elapsed_s, _LONGEST_WAIT, ""),
    ):
        if ours_s > theirs_s * most:
            return Obstacle(
                Cause.SLOWER, f"kernels took {ours_s * 1e3:.3g} ms{of} a row, bodies {theirs_s * 1e3:.3g} ms"
            )
    return None
