"""Warm-up: the first runs of a session, timed, to learn what batches cost on this device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.lengths import Lengths
from fovea.runtime.arrays import Arrays
from fovea.runtime.cost import BatchCost
from fovea.runtime.session import ModelSession

LONG_BATCH_S = 0.05
"""Once a batch takes longer than this, larger ones are not tried: nobody should wait behind them."""
_BUDGET_S = 0.05
"""For the turns of one set of lengths; each size gets one, whatever it takes."""
_LENGTHS_BUDGET_S = 2.0
"""For all lengths of a model: a server with ten of them should be ready within a rollout's patience."""
_MOST_TURNS = 10
_TURN_S = 0.003
_FEWEST_RUNS = 2
"""In a turn."""


def batch_sizes(max_batch_rows: int) -> list[int]:
    """1, 2, 4 … up to `max_batch_rows`, which is always the last."""
    powers = [2**exponent for exponent in range(max_batch_rows.bit_length())]
    return [size for size in powers if size < max_batch_rows] + [max_batch_rows]


def measure_cost(
    session: ModelSession, rows: Mapping[Lengths, Arrays], clock: Callable[[], float], names: Sequence[str] = ()
) -> BatchCost:
    """What batches cost, by lengths and rows. `rows`: one row of each, as `warm_up_rows` gives; `names`: the lengths'.

    All of them are run, so that a device has met them; those whose turn comes after `_LENGTHS_BUDGET_S` are run in the
    smallest batch only. What time is left goes into a second round, so that a disturbance of one's first turn does not
    stand. ModelBroken where a bucket cannot be run although others can.
    """
    curves: dict[Lengths, dict[int, float]] = {}
    failed: dict[Lengths, ExecutionFailed] = {}
    end = clock() + _LENGTHS_BUDGET_S
    for lengths, row in rows.items():
        most = session.max_batch_rows if clock() < end else 1
        try:
            curves[lengths] = measure_batch_cost(session, row, clock, most)
        except ExecutionFailed as error:
            failed[lengths] = error
            if not curves:
                break
    _require_every_bucket(curves, failed, names)
    for lengths, curve in curves.items():
        if clock() < end:
            _measure_again(session, rows[lengths], clock, curve)
    return BatchCost(curves, tuple(names))


def _require_every_bucket(
    curves: Collection[Lengths], failed: Mapping[Lengths, ExecutionFailed], names: Sequence[str]
) -> None:
    """ModelBroken where a bucket runs with none of the other lengths' buckets; some may not go with each other."""
    for lengths, error in failed.items() if curves else ():
        for name, place, size in zip(names, range(len(lengths)), lengths, strict=True):
            if all(known[place] != size for known in curves):
                raise ModelBroken(f"buckets: {name} {size} cannot be run: {error}") from error


def run_measured_sizes(session: ModelSession, rows: Mapping[Lengths, Arrays], cost: BatchCost) -> None:
    """Run, in another session of a model, every batch that was measured: its first run of a size takes long as well.

    A size that cannot be run beside the first session is left out: such a batch is halved when it comes.
    """
    for lengths, most, _ in cost.points():
        with suppress(ExecutionFailed):
            session.gather([rows[lengths]] * most)
            session.run()


def _measure_again(session: ModelSession, row: Arrays, clock: Callable[[], float], curve: dict[int, float]) -> None:
    try:
        again = measure_batch_cost(session, row, clock, max(curve))
    except ExecutionFailed:  # it ran before, so what was measured stands
        return
    curve.update({rows: min(seconds, again.get(rows, seconds)) for rows, seconds in curve.items()})


def measure_batch_cost(
    session: ModelSession, row: Arrays, clock: Callable[[], float], most_rows: int
) -> dict[int, float]:
    """Seconds per batch, by rows; fewer sizes where batches get long.

    `row` is one row of every input (the whole request of a model without a batch axis). Each size counts with its
    quickest run: what disturbs a run only ever makes it longer. Sizes take turns, so that a disturbance hits them all.
    ExecutionFailed where the model cannot run the row, as may be with a made-up one.
    """
    batches: dict[int, list[Arrays]] = {}
    for rows in batch_sizes(most_rows):
        batch = [row] * rows
        try:
            too_long = _is_long(session, batch, clock)
        except ExecutionFailed:
            if not batches:
                raise
            break
        batches[rows] = batch
        if too_long:
            break
    return _quickest(session, batches, clock)


def _is_long(session: ModelSession, batch: Sequence[Arrays], clock: Callable[[], float]) -> bool:
    """The first run of a size allocates and compiles: only a second one, where it is needed, is held against it."""
    return _timed(session, batch, clock) > LONG_BATCH_S and _timed(session, batch, clock) > LONG_BATCH_S


def _quickest(
    session: ModelSession, batches: Mapping[int, Sequence[Arrays]], clock: Callable[[], float]
) -> dict[int, float]:
    cost: dict[int, float] = {}
    end = clock() + _BUDGET_S
    for turn in range(_MOST_TURNS):
        if turn and clock() > end:
            break
        for rows, batch in batches.items():
            try:
                taken = _quickest_of_a_turn(session, batch, clock)
            except ExecutionFailed:  # it ran before, so what was measured stands
                return cost
            cost[rows] = min(taken, cost.get(rows, taken))
    return cost


def _quickest_of_a_turn(session: ModelSession, batch: Sequence[Arrays], clock: Callable[[], float]) -> float:
    """The first run finds the caches as another size left them: one row after 32 took 18 % longer than after one."""
    end = clock() + _TURN_S
    quickest = min(_timed(session, batch, clock) for _ in range(_FEWEST_RUNS))
    while clock() < end:
        quickest = min(quickest, _timed(session, batch, clock))
    return quickest


def _timed(session: ModelSession, batch: Sequence[Arrays], clock: Callable[[], float]) -> float:
    """From gather to the answers' bytes: a large batch has left the caches when its answers are copied out of it."""
    start = clock()
    session.gather(batch)
    session.run()
    for answer in session.split([1] * len(batch)):
        for output in answer.values():
            output.tobytes()
    return clock() - start
