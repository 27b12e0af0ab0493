"""Whether a model keeps the rows of a batch apart, seen from outside: rows alone, together, and among other neighbours.

Among other neighbours a row's answer must be the same almost to the bit, since nothing but the neighbours has changed:
that shows a small influence. Beside its answer alone, which other loops may have added up, only a larger one shows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.runtime.datatypes import Arrays
from fovea.runtime.row_agreement import difference, is_telling, tolerance_alone, tolerance_among_others
from fovea.runtime.row_samples import RowSamples, Style
from fovea.runtime.session import ModelSession
from fovea.runtime.vocabularies import with_vocabularies

_PATIENCE_S = 1.0
"""Once something was told and this time is over, no further kind of row is tried. All times are the processor's: what a
machine does besides changes no verdict."""
_LAST_S = 5.0
"""Nor is one tried after this time, whether something was told or not."""
_LONG_ROW_S = 0.2
"""Of a model that takes so long for a row, fewer are run."""
_TELLING_LENGTHS, _MORE_S = 3, 0.2
"""Of open axes, at least. A quick model is tried at others for so long, while its rows are of moderate size."""
_MODERATE = 50_000
"""Numbers in a row."""
_FEW, _MANY = 3, 7
"""Rows in a batch. Neither is a multiple of the other: what turns rows by as many as there are leaves them in place."""
_LARGEST_S = 0.3
"""For one batch as large as requests will share; of a model that takes longer for it, one of fewer rows is tried."""


@dataclass(frozen=True)
class RowVerdict:
    """What was seen of a model's rows, and the evidence."""

    seen: Literal["apart", "mixed", "unknown", "impossible", "untried"]
    """impossible: it cannot be run with several rows, or does not answer with as many. untried: nothing was run."""
    reason: str = ""

    @property
    def apart(self) -> bool:
        """Whether requests may share its batches."""
        return self.seen == "apart"


_APART = RowVerdict("apart")


def check_rows(session: ModelSession, samples: RowSamples, most_rows: int) -> RowVerdict:
    """Whether rows of many kinds get together the answers that they get alone; requests will share `most_rows`.

    `session` takes arrays as they are, and every input and output of it has a first axis of unknown size.
    """
    return _RowCheck(session, with_vocabularies(session, samples), most_rows).verdict()


@dataclass(frozen=True)
class _Telling:
    """A kind of row that gets answers by which an influence would have shown, and the time that one takes alone."""

    style: Style
    length: int
    row_s: float


class _RowCheck:
    def __init__(self, session: ModelSession, samples: RowSamples, most_rows: int) -> None:
        self._session, self._samples, self._most_rows = session, samples, most_rows
        self._until_s = time.thread_time() + _PATIENCE_S
        self._telling: _Telling | None = None
        """The first one."""
        self._failure = ""
        """Of the first kind of row that could not be run."""

    def verdict(self) -> RowVerdict:
        lengths, begin_s = 0, time.thread_time()
        for length in self._samples.lengths:
            if lengths >= _TELLING_LENGTHS and not self._has_time(length, time.thread_time() - begin_s):
                break
            found = self._at_length(length)
            if found is not None and not found.apart:
                return found
            lengths += found is not None
        if self._telling is not None:
            return self._in_the_largest_batch(self._telling) or _APART
        why = self._failure or "made-up rows all get the same answer"
        return RowVerdict("unknown", f"whether rows are independent could not be told: {why}")

    def _has_time(self, length: int, elapsed_s: float) -> bool:
        """For a length more than are needed."""
        return elapsed_s < _MORE_S and self._samples.numbers(length) <= _MODERATE

    def _at_length(self, length: int) -> RowVerdict | None:
        """None where nothing that was run at this length tells anything."""
        found: RowVerdict | None = None
        for style in self._samples.styles:
            found = self._tried(style, length) or found
            if found is not None and not found.apart:
                break
        return found

    def _tried(self, style: Style, length: int) -> RowVerdict | None:
        """None where these rows tell nothing, or there is no time for them."""
        if time.thread_time() > self._until_s + (0.0 if self._telling else _LAST_S):
            return None
        try:
            found = self._of_style(style, length)
        except ExecutionFailed as error:
            self._failure = self._failure or str(error)
            return None
        return found

    def _of_style(self, style: Style, length: int) -> RowVerdict | None:
        """None where the rows get answers that tell nothing. ExecutionFailed where a row alone cannot be run."""
        rows = self._samples.rows(style, length, _MANY)
        start_s = time.thread_time()
        alone = [self._run([rows[0]])]
        row_s = time.thread_time() - start_s
        slow = row_s > _LONG_ROW_S
        count = 2 if slow else _FEW
        alone += [self._run([row]) for row in rows[1:count]]
        if (unfit := _unfit_alone(alone)) is not None:
            return unfit
        if not slow and (problem := _random(alone[0], self._run([rows[0]]))):
            return RowVerdict("unknown", problem)
        together = self._together(rows[:count])
        if isinstance(together, RowVerdict):
            return together
        found = _beside_alone(alone, together, count, style)
        if found is None and not slow:
            found = self._among_others(rows, together)
            if found is None and style.many:
                found = _beside_alone(alone, self._run(rows), len(rows), style)
        if found is None and is_telling(alone):
            self._telling, found = self._telling or _Telling(style, length, row_s), _APART
        return found

    def _among_others(self, rows: Sequence[Arrays], together: Arrays) -> RowVerdict | None:
        """The first row with other neighbours, then the others with another first row."""
        first, *others = rows[:3]
        for batch, kept in (([first, *rows[4:6]], slice(0, 1)), ([rows[3], *others], slice(1, 3))):
            for name, array in self._run(batch).items():
                before = together[name]
                if array.shape != before.shape:
                    return _resized(name, before, array, "with other neighbours")
                allowed = tolerance_among_others([before, array])
                if off := difference(before[kept], array[kept], allowed):
                    return RowVerdict("mixed", f"rows influence each other: {name} of a row {off} with its neighbours")
        return None

    def _in_the_largest_batch(self, telling: _Telling) -> RowVerdict | None:
        """The same rows again and again: some meet only in many, as where they share places, or only where equal."""
        count = min(self._most_rows, int(_LARGEST_S / max(telling.row_s, 1e-9)))
        if count <= _MANY:
            return None
        rows = self._samples.rows(telling.style, telling.length, _MANY)
        alone = [self._run([row]) for row in rows]
        places = [place % _MANY for place in range(count)]
        try:
            together = self._together([rows[place] for place in places])
        except OutOfMemory:
            return None
        if isinstance(together, RowVerdict):
            return together
        return _beside_alone([alone[place] for place in places], together, count, telling.style)

    def _together(self, rows: Sequence[Arrays]) -> dict[str, NDArray[Any]] | RowVerdict:
        """OutOfMemory where there is too little for so many rows of this length."""
        try:
            return self._run(rows)
        except OutOfMemory:
            raise
        except ExecutionFailed as error:
            return RowVerdict("impossible", f"it fails on {len(rows)} rows together: {error}")

    def _run(self, rows: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
        batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        return {name: np.copy(array) for name, array in self._session.infer(batch).items()}


def _random(answer: Arrays, again: Arrays) -> str | None:
    for name, array in answer.items():
        same = array.shape == again[name].shape
        if not same or difference(array, again[name], tolerance_among_others([array])):
            return f"{name} differs when the same row is run again, so nothing can be told of its rows"
    return None


def _unfit_alone(alone: Sequence[Arrays]) -> RowVerdict | None:
    """Answers that are no rows, or whose size depends on what is in a row."""
    for name, array in alone[0].items():
        if array.shape[:1] != (1,):
            return RowVerdict("impossible", f"{name} of one row has shape {list(array.shape)}: it is no row of answers")
        for other in alone[1:]:
            if other[name].shape != array.shape:
                shapes = f"{list(array.shape)} and {list(other[name].shape)} for inputs of one shape"
                return RowVerdict("mixed", f"the size of {name} depends on what is in a row: {shapes}")
    return None


def _resized(name: str, one: NDArray[Any], other: NDArray[Any], when: str) -> RowVerdict:
    shapes = f"{list(one.shape)}, {when} {list(other.shape)}"
    return RowVerdict("mixed", f"the size of {name} depends on its neighbours in the batch: {shapes}")


def _beside_alone(alone: Sequence[Arrays], together: Arrays, count: int, style: Style) -> RowVerdict | None:
    """Rows alone, and `count` rows together, of which they are the first."""
    for name, array in together.items():
        expected = (count, *alone[0][name].shape[1:])
        if array.shape[:1] != expected[:1]:
            shapes = f"shape {list(array.shape)}, not {list(expected)}"
            return RowVerdict("impossible", f"{name} of {count} rows has {shapes}")
        if array.shape != expected:
            return _resized(name, alone[0][name], array, "together")
        rows = np.concatenate([one[name] for one in alone])
        if off := difference(rows, array[: len(rows)], tolerance_alone([rows, array], large=style.large)):
            return RowVerdict("mixed", f"rows influence each other: {name} of a row {off} between alone and together")
    return None
