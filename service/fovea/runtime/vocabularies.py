"""What whole numbers a model takes, found by trying: an index beyond its vocabulary fails."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fovea.contract.errors import ExecutionFailed
from fovea.runtime.arrays import Arrays
from fovea.runtime.row_samples import PLAIN, Row, RowSamples
from fovea.runtime.session import ModelSession

_BELOW = (10, 100, 1000, 10_000, 30_000)
_LONG_RUN_S = 0.2
"""A number that makes a run long, as a count of turns would, is not raised further."""
_MOST_INPUTS = 16


def with_vocabularies(session: ModelSession, samples: RowSamples) -> RowSamples:
    """Samples whose whole numbers go as far as the model takes them; `session` takes arrays as they are."""
    limits = {} if samples.below else samples.whole_inputs()
    row = _row_that_runs(session, samples) if limits else None
    if row is None:
        return samples
    names = list(limits)[:_MOST_INPUTS]
    found = {name: _most(session, row, name, _tried_below(limits[name])) for name in names}
    below = {name: most for name, most in found.items() if most}
    negative = frozenset(name for name, most in below.items() if _takes_negative(session, row, name, most))
    return replace(samples, below=below, negative=negative)


def _row_that_runs(session: ModelSession, samples: RowSamples) -> Row | None:
    """None where none does, or where there is no time to run many."""
    for lengths in samples.tries:
        [row] = samples.rows(PLAIN, lengths, 1)
        start_s = time.thread_time()
        try:
            session.infer(row)
        except ExecutionFailed:
            continue
        return row if time.thread_time() - start_s < _LONG_RUN_S else None
    return None


def _tried_below(limit: int) -> list[int]:
    return sorted({min(below, limit) for below in _BELOW})


def _most(session: ModelSession, row: Arrays, name: str, tried: Iterable[int]) -> int:
    """The largest of `tried` that this input's numbers may stay below; 0 where the first one fails."""
    most = 0
    for below in tried:
        start_s = time.thread_time()
        try:
            session.infer({**row, name: _reaching(row, name, below)})
        except ExecutionFailed:
            break
        most = below
        if time.thread_time() - start_s > _LONG_RUN_S:
            break
    return most


def _takes_negative(session: ModelSession, row: Arrays, name: str, below: int) -> bool:
    """Whether this input's numbers may be negative, as those are that stand for nothing. Counts and lengths, which come
    one a row, are not tried so: some operators would read memory that is not theirs."""
    if row[name].ndim < 2 or row[name].dtype.kind != "i":
        return False
    try:
        session.infer({**row, name: _reaching(row, name, below, -below)})
    except ExecutionFailed:
        return False
    return True


def _reaching(row: Arrays, name: str, below: int, least: int = 0) -> np.ndarray:
    """Numbers of which one is the largest that is tried, and the next one the least."""
    values = np.random.default_rng(below).integers(least, below, row[name].shape)
    values.flat[:2] = below - 1, least
    return values.astype(row[name].dtype)
