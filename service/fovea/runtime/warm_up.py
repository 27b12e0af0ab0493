"""Warm-up: the first runs of a session, timed, to learn what batches cost on this device."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.lengths import Lengths
from fovea.runtime.arrays import Arrays
from fovea.runtime.cold_rows import ColdRows
from fovea.runtime.cost import BatchCost
from fovea.runtime.session import ModelSession
from fovea.runtime.stopwatch import Duration, Stopwatch

LONG_BATCH_S = 0.05
"""Once a batch takes longer than this, larger ones are not tried: nobody should wait behind them."""
_BUDGET_S = 0.02
"""For the turns of one set of lengths; each size gets one, whatever it takes."""
_LENGTHS_BUDGET_S = 2.0
"""For all lengths of a model: a server with ten of them should be ready within a rollout's patience."""
_MOST_TURNS = 10
_TURN_S = 0.002
"""Quick sizes run again and again for so long: the first run finds the caches as another size left them, and one row
after 32 took 18 % longer than after one."""


def batch_sizes(max_batch_rows: int) -> list[int]:
    """1, 2, 4 … up to `max_batch_rows`, which is always the last."""
    powers = [2**exponent for exponent in range(max_batch_rows.bit_length())]
    return [size for size in powers if size < max_batch_rows] + [max_batch_rows]


def measure_cost(
    session: ModelSession, rows: Mapping[Lengths, Sequence[Arrays]], stopwatch: Stopwatch, names: Sequence[str] = ()
) -> BatchCost:
    """What batches cost, by lengths and rows. `rows`: some of each, as `WarmUpRows`; `names`: the lengths'.

    All of them are run, so that a device has met them; those whose turn comes after `_LENGTHS_BUDGET_S` are run in the
    smallest batch only, and once where that takes long. Where there are several, what time is left goes into a second
    round, so that a disturbance of one's turns does not stand. ModelBroken where a bucket cannot be run although others
    can.
    """
    curves: dict[Lengths, _Runs] = {}
    failed: dict[Lengths, ExecutionFailed] = {}
    left_s = _LENGTHS_BUDGET_S
    for lengths in rows:
        runs, cold = _Runs(session, stopwatch), ColdRows(rows[lengths])
        try:
            runs.first(cold, session.max_batch_rows if left_s > 0 else 1, once=left_s <= 0)
        except ExecutionFailed as error:
            failed[lengths] = error
            if not curves:
                break
            continue
        curves[lengths] = runs
        if not runs.are_long:
            runs.more(cold)
        left_s -= runs.elapsed_s
    _require_every_bucket(curves, failed, names)
    for lengths, runs in curves.items() if len(curves) > 1 else ():
        if left_s > 0:
            before_s = runs.elapsed_s
            runs.more(ColdRows(rows[lengths]))
            left_s -= runs.elapsed_s - before_s
    return BatchCost({lengths: runs.curve() for lengths, runs in curves.items()}, tuple(names))


def _require_every_bucket(
    curves: Collection[Lengths], failed: Mapping[Lengths, ExecutionFailed], names: Sequence[str]
) -> None:
    """ModelBroken where a bucket runs with none of the other lengths' buckets; some may not go with each other."""
    for lengths, error in failed.items() if curves else ():
        for name, place, size in zip(names, range(len(lengths)), lengths, strict=True):
            if all(known[place] != size for known in curves):
                raise ModelBroken(f"buckets: {name} {size} cannot be run: {error}") from error


def run_measured_sizes(session: ModelSession, rows: Mapping[Lengths, Sequence[Arrays]], cost: BatchCost) -> None:
    """Run, in another session of a model, every batch that was measured: its first run of a size takes long as well.

    A size that cannot be run beside the first session is left out: such a batch is halved when it comes.
    """
    for lengths, most, _ in cost.points():
        with suppress(ExecutionFailed):
            session.gather([rows[lengths][0]] * most)
            session.run()
            session.split([1] * most if session.batched else [1])  # which lets go of rows that were read in place


class _Runs:
    """The runs of one set of lengths, in batches of every size. Sizes take turns: a disturbance hits them all."""

    def __init__(self, session: ModelSession, stopwatch: Stopwatch) -> None:
        self._session, self._stopwatch = session, stopwatch
        self._runs: dict[int, list[Duration]] = {}
        self.elapsed_s = 0.0
        """Seconds by the clock that all runs took."""

    def first(self, cold: ColdRows, most_rows: int, *, once: bool) -> None:
        """Run every size once, as far as batches are not too long. ExecutionFailed where even one row cannot be run.

        The first run of a size allocates and compiles: only a second one, where it is needed, is held against it. With
        `once` the largest size is not run again.
        """
        for rows in batch_sizes(most_rows):
            try:
                too_long = self._run(cold, rows) > LONG_BATCH_S
                if too_long and (rows < most_rows or not once):
                    too_long = self._run(cold, rows) > LONG_BATCH_S
            except ExecutionFailed:
                if not self._runs:
                    raise
                break
            if too_long:
                break

    @property
    def are_long(self) -> bool:
        """Whether the smallest batch takes so long that no others are made: such runs differ little from each other."""
        return min(run.elapsed_s for run in self._runs[min(self._runs)]) > LONG_BATCH_S

    def more(self, cold: ColdRows) -> None:
        """Some turns of every size that was run before."""
        begun_s = self.elapsed_s
        for turn in range(_MOST_TURNS):
            if turn and self.elapsed_s > begun_s + _BUDGET_S:
                return
            for rows in self._runs:
                try:
                    self._turn(cold, rows)
                except ExecutionFailed:  # it ran before, so what was measured stands
                    return

    def _turn(self, cold: ColdRows, rows: int) -> None:
        elapsed_s = 0.0
        while elapsed_s < _TURN_S:
            elapsed_s += self._run(cold, rows)

    def _run(self, cold: ColdRows, rows: int) -> float:
        """From gather to the answers' bytes: a large batch has left the caches when its answers are copied out."""
        batch = cold.take(rows)

        def run() -> None:
            self._session.gather(batch)
            self._session.run()
            for answer in self._session.split([1] * rows):
                for output in answer.values():
                    output.tobytes()

        duration = self._stopwatch(run)
        self._runs.setdefault(rows, []).append(duration)
        self.elapsed_s += duration.elapsed_s
        return duration.elapsed_s

    def curve(self) -> dict[int, float]:
        """Rows -> seconds of an undisturbed batch.

        That is the least processor time that any run took, times the least share of it that a run took by the clock: a
        half where two threads share the work, and never more than all of it. Interruptions make runs longer by the
        clock, and of long runs every one: so what shorter batches were seen to share holds for longer ones too, which
        share their work no worse.
        """
        curve, share = {}, 1.0
        for rows, runs in self._runs.items():
            share = min(share, *(run.elapsed_s / run.processor_s for run in runs if run.processor_s))
            curve[rows] = share * min(run.processor_s for run in runs)
        return curve
