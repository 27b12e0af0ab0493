"""Warm-up: the first runs of a session, timed, to learn what batches cost on this device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

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
    smallest batch only. Where there are several, what time is left goes into a second round, so that a disturbance of
    one's turns does not stand. ModelBroken where a bucket cannot be run although others can.
    """
    curves: dict[Lengths, _Runs] = {}
    failed: dict[Lengths, ExecutionFailed] = {}
    left_s = _LENGTHS_BUDGET_S
    for lengths in rows:
        runs = _Runs(session, partial(rows.__getitem__, lengths), stopwatch)
        try:
            runs.first(session.max_batch_rows if left_s > 0 else 1)
        except ExecutionFailed as error:
            failed[lengths] = error
            if not curves:
                break
            continue
        curves[lengths] = runs
        runs.more()
        left_s -= runs.elapsed_s
    _require_every_bucket(curves, failed, names)
    for runs in curves.values() if len(curves) > 1 else ():
        if left_s > 0:
            before_s = runs.elapsed_s
            runs.more()
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


class _Runs:
    """The runs of one set of lengths, in batches of every size. Sizes take turns: a disturbance hits them all."""

    def __init__(self, session: ModelSession, make_rows: Callable[[], Sequence[Arrays]], stopwatch: Stopwatch) -> None:
        self._session, self._make_rows, self._stopwatch = session, make_rows, stopwatch
        self._rows: ColdRows | None = None
        """Made when they are needed, and let go after the turns: of many lengths, together they are large."""
        self._runs: dict[int, list[Duration]] = {}
        self.elapsed_s = 0.0
        """Seconds by the clock that all runs took."""

    def first(self, most_rows: int) -> None:
        """Run every size once, as far as batches are not too long. ExecutionFailed where even one row cannot be run.

        The first run of a size allocates and compiles: only a second one, where it is needed, is held against it.
        """
        for rows in batch_sizes(most_rows):
            try:
                too_long = self._run(rows) > LONG_BATCH_S and self._run(rows) > LONG_BATCH_S
            except ExecutionFailed:
                if not self._runs:
                    raise
                break
            if too_long:
                break

    def more(self) -> None:
        """Some turns of every size that was run before."""
        self._turns()
        self._rows = None

    def _turns(self) -> None:
        begun_s = self.elapsed_s
        for turn in range(_MOST_TURNS):
            if turn and self.elapsed_s > begun_s + _BUDGET_S:
                return
            for rows in self._runs:
                try:
                    self._turn(rows)
                except ExecutionFailed:  # it ran before, so what was measured stands
                    return

    def _turn(self, rows: int) -> None:
        elapsed_s = 0.0
        while elapsed_s < _TURN_S:
            elapsed_s += self._run(rows)

    def _run(self, rows: int) -> float:
        """From gather to the answers' bytes: a large batch has left the caches when its answers are copied out."""
        self._rows = self._rows or ColdRows(self._make_rows())
        batch = self._rows.take(rows)

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
