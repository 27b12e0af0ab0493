"""Kernels against bodies, on time: which of two sessions of a model this device runs at less cost.

Processor time decides, not the clock's: on a machine with other work it is luck which of the two is interrupted, and
which gets the help of a second thread (quickest runs strayed by a third, processor time by 4 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from statistics import fmean

from fovea.contract.errors import ExecutionFailed
from fovea.runtime.golden import Golden, run_golden
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.session import ModelSession
from fovea.runtime.stopwatch import Duration, Stopwatch
from fovea.runtime.warm_up import LONG_BATCH_S

_FEWEST_TURNS = 5
_LONG_TURN_S, _FEWEST_LONG_TURNS, _LONG_CONFIRMED_BY = 0.1, 3, 2
"""Processor time of a turn. Of such long ones few must do, where two confirm each other: a server is to be ready."""
_LONGEST_RACE_S = 2.0
"""Seconds by the clock. After this, one turn must do: nobody waits half a minute for a slow model's race."""
_RACE_S = 0.1
"""Processor time. Quick models run more often than `_FEWEST_TURNS`, this long in all, unless it is clear before."""
_CLOSE_RACE_S = 0.5
"""Processor time of a race that is close: it runs this long, so that noise does not decide."""
_RACE_MARGIN = 1.05
"""Kernels must be this much costlier before they lose: less is noise, and a tie is theirs."""
_CLOSE = 0.05
_CLEAR = 0.06
"""So far from the margin, it is clear as soon as the least costs are confirmed."""
_CONFIRMED_BY, _CONFIRMED = 3, 1.05
"""The least cost is no luck once so many runs came so near to it. What disturbs runs makes them dearer by chance: on a
busy machine it takes some twenty turns, on a quiet one five."""
_LONGEST_WAIT = 3.0
"""Kernels that take so many times as long by the clock lose too: waiting costs no processor time."""


class _Lane:
    """One session's costs of each batch so far."""

    def __init__(self, session: ModelSession, batches: dict[int, Golden]) -> None:
        self._session, self._batches = session, batches
        self._runs: dict[int, list[Duration]] = {rows: [] for rows in batches}

    def run(self, stopwatch: Stopwatch) -> Duration:
        """One more run of every batch; what they took in all."""
        for rows, batch in self._batches.items():
            self._runs[rows].append(stopwatch(partial(run_golden, self._session, batch)))
        last = [runs[-1] for runs in self._runs.values()]
        return Duration(sum(one.processor_s for one in last), sum(one.elapsed_s for one in last))

    @property
    def row(self) -> Duration:
        """The least that a row has cost, the mean over the batches."""
        return Duration(
            fmean(min(run.processor_s for run in runs) / rows for rows, runs in self._runs.items()),
            fmean(min(run.elapsed_s for run in runs) / rows for rows, runs in self._runs.items()),
        )

    def confirmed(self, by: int = _CONFIRMED_BY) -> bool:
        """Whether so many runs of every batch came near to its least cost."""
        return all(_is_confirmed(sorted(run.processor_s for run in runs), by) for runs in self._runs.values())


def _is_confirmed(costs_s: Sequence[float], by: int) -> bool:
    return len(costs_s) >= by and costs_s[by - 1] <= costs_s[0] * _CONFIRMED


def race(fused: ModelSession, bodies: ModelSession, golden: Golden, stopwatch: Stopwatch) -> Obstacle | None:
    """Why bodies win; None where kernels cost as little a row.

    One row, as a single caller sends it, and the golden batch count alike, each with its cheapest run: what disturbs a
    run only ever makes it dearer. Sessions take turns, so that a disturbance hits both. The golden batch is cut to what
    a server would run together of rows that take long: two, or none where one row takes too long.
    """
    batches = {1: golden.first_rows(1)} if bodies.batched else {1: golden}
    if bodies.batched and (rows := _rows_together(bodies, batches[1], golden.rows, stopwatch)) > 1:
        batches[rows] = golden.first_rows(rows)
    ours, theirs = _Lane(fused, batches), _Lane(bodies, batches)
    turn, processor_s, elapsed_s = 0, 0.0, 0.0
    while turn == 0 or (
        elapsed_s < _LONGEST_RACE_S
        and (turn < _fewest_turns(ours, theirs, processor_s / turn) or processor_s < _least_race_s(ours, theirs))
    ):
        for lane in (ours, theirs) if turn % 2 else (theirs, ours):
            try:
                duration = lane.run(stopwatch)
            except ExecutionFailed as error:
                if lane is theirs:
                    raise
                return Obstacle(Cause.FAILED, f"with kernels: {error}")
            processor_s, elapsed_s = processor_s + duration.processor_s, elapsed_s + duration.elapsed_s
        turn += 1
    return _verdict(ours.row, theirs.row)


def _rows_together(session: ModelSession, row: Golden, most: int, stopwatch: Stopwatch) -> int:
    """How many rows the batch of the race has. One row runs twice, if need be: a first run allocates and compiles."""
    seconds = inf
    for _ in range(2):
        run = stopwatch(partial(run_golden, session, row))
        seconds = min(seconds, run.processor_s, run.elapsed_s)
        if seconds * most <= LONG_BATCH_S:
            return most
    return min(most, max(2, int(LONG_BATCH_S / seconds))) if seconds <= LONG_BATCH_S else 1


def _fewest_turns(ours: _Lane, theirs: _Lane, turn_s: float) -> int:
    few = turn_s >= _LONG_TURN_S and all(lane.confirmed(_LONG_CONFIRMED_BY) for lane in (ours, theirs))
    return _FEWEST_LONG_TURNS if few else _FEWEST_TURNS


def _least_race_s(ours: _Lane, theirs: _Lane) -> float:
    """Processor time that the race is worth, as it stands."""
    limit_s = theirs.row.processor_s * _RACE_MARGIN
    distance_s = abs(ours.row.processor_s - limit_s)
    if distance_s < _CLOSE * limit_s:
        return _CLOSE_RACE_S
    return 0.0 if distance_s > _CLEAR * limit_s and ours.confirmed() and theirs.confirmed() else _RACE_S


def _verdict(kernels: Duration, bodies: Duration) -> Obstacle | None:
    for ours_s, theirs_s, most, of in (
        (kernels.processor_s, bodies.processor_s, _RACE_MARGIN, " of processor time"),
        (kernels.elapsed_s, bodies.elapsed_s, _LONGEST_WAIT, ""),
    ):
        if ours_s > theirs_s * most:
            return Obstacle(
                Cause.SLOWER, f"kernels took {ours_s * 1e3:.3g} ms{of} a row, bodies {theirs_s * 1e3:.3g} ms"
            )
    return None
