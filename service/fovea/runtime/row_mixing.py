"""Whether a model keeps the rows of a batch apart, seen from outside: rows alone, together, and among other neighbours.

Among other neighbours a row's answer must be the same almost to the bit, since nothing but the neighbours has changed:
that shows a small influence. Beside its answer alone, which other loops may have added up, only a larger one shows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.contract.lengths import Lengths
from fovea.runtime.arrays import Arrays
from fovea.runtime.row_agreement import is_telling
from fovea.runtime.row_samples import RowSamples, Style
from fovea.runtime.row_verdicts import RowVerdict, beside_alone, changed_by_neighbours, other_again, unfit_alone
from fovea.runtime.session import ModelSession
from fovea.runtime.vocabularies import with_vocabularies

_PATIENCE_S = 1.0
"""Once something was told and this time is over, no further kind of row is tried. All times are the processor's: what a
machine does besides changes no verdict. This one is that of all threads, of which a slow model has several."""
_LAST_S = 5.0
"""Nor is one tried after this time, whether something was told or not."""
_LONG_ROW_S = 0.2
"""Seconds for one row, from which on fewer rows are run."""
_TELLING_LENGTHS, _MORE_S = 3, 0.2
"""Of open axes, at least. A quick model is tried at others for so long, while its rows are of moderate size."""
_MODERATE = 50_000
"""Most numbers in a row that counts as of moderate size."""
_FEW, _MANY = 3, 7
"""Rows in a batch. Neither is a multiple of the other: what turns rows by as many as there are leaves them in place."""
_LARGEST_S = 0.3
"""For a larger batch, up to what requests will share; of a model that takes longer for it, fewer rows are tried."""
_MANY_S = 1.0
"""For the batch of many rows that a slow model is tried with once, since nothing larger will be."""
_MOST_NUMBERS = 1_000_000
"""In the answers that are compared at once, which takes 0.3 s."""
_APART = RowVerdict("apart")


def check_rows(session: ModelSession, samples: RowSamples, most_rows: int, longest_row_s: float) -> RowVerdict:
    """Whether rows of many kinds get together the answers that they get alone; requests will share `most_rows`.

    `session` takes arrays as they are, and every input and output of it has a first axis of unknown size. One that
    takes longer than `longest_row_s` for a row is not tried.
    """
    return _RowCheck(session, with_vocabularies(session, samples), most_rows, longest_row_s).verdict()


@dataclass(frozen=True)
class _Telling:
    """A kind of row that gets answers by which an influence would have shown, and what one alone costs."""

    style: Style
    lengths: Lengths
    row_s: float
    row_numbers: int


class _RowCheck:
    def __init__(self, session: ModelSession, samples: RowSamples, most_rows: int, longest_row_s: float) -> None:
        self._session, self._samples = session, samples
        self._most_rows, self._longest_row_s = most_rows, longest_row_s
        self._until_s = time.process_time() + _PATIENCE_S
        self._telling: _Telling | None = None
        """The first kind of row by which an influence would show."""
        self._failure = ""
        """Why the first kind of row that could not be run failed; empty before."""

    def verdict(self) -> RowVerdict:
        telling, begin_s = 0, time.thread_time()
        for lengths in self._samples.tries:
            if telling >= _TELLING_LENGTHS and not self._has_time(lengths, time.thread_time() - begin_s):
                break
            found = self._at_lengths(lengths)
            if found is not None and not found.apart:
                return found
            telling += found is not None
        if self._telling is not None:
            return self._in_the_largest_batch(self._telling) or _APART
        why = self._failure or "made-up rows all get the same answer"
        return RowVerdict("unknown", f"whether rows are independent could not be told: {why}")

    def _has_time(self, lengths: Lengths, elapsed_s: float) -> bool:
        """For lengths more than are needed."""
        return elapsed_s < _MORE_S and self._samples.numbers(lengths) <= _MODERATE

    def _at_lengths(self, lengths: Lengths) -> RowVerdict | None:
        """None where nothing that was run at these lengths tells anything."""
        found: RowVerdict | None = None
        for style in self._samples.styles:
            found = self._tried(style, lengths) or found
            if found is not None and not found.apart:
                break
        return found

    def _tried(self, style: Style, lengths: Lengths) -> RowVerdict | None:
        """None where these rows tell nothing, or there is no time for them."""
        if time.process_time() > self._until_s + (0.0 if self._telling else _LAST_S):
            return None
        try:
            found = self._of_style(style, lengths)
        except ExecutionFailed as error:
            self._failure = self._failure or str(error)
            return None
        return found

    def _of_style(self, style: Style, lengths: Lengths) -> RowVerdict | None:
        """None where the rows get answers that tell nothing. ExecutionFailed where a row alone cannot be run."""
        rows = self._samples.rows(style, lengths, _MANY)
        start_s = time.thread_time()
        first = self._run(rows[:1])
        row_s = time.thread_time() - start_s
        if row_s > self._longest_row_s:
            why = f"a row takes {row_s:.1f} s, too long to see whether rows are independent"
            return None if self._telling else RowVerdict("untried", why)
        row_numbers = sum(array.size for array in first.values())
        count = 2 if row_s > _LONG_ROW_S or row_numbers * _FEW > _MOST_NUMBERS else _FEW
        alone = [first, *(self._run([row]) for row in rows[1:count])]
        found = unfit_alone(alone) or self._tried_together(rows, alone, style, row_s)
        if found is None and is_telling(alone):
            self._telling, found = self._telling or _Telling(style, lengths, row_s, row_numbers), _APART
        return found

    def _tried_together(
        self, rows: Sequence[Arrays], alone: Sequence[Arrays], style: Style, row_s: float
    ) -> RowVerdict | None:
        """What speaks against sharing; of a slow model, of which fewer were run alone, no more than needed is run."""
        slow = len(alone) < _FEW
        if not slow and (problem := other_again(alone[0], self._run(rows[:1]))):
            return RowVerdict("unknown", problem)
        together = self._together(rows[: len(alone)])
        if isinstance(together, RowVerdict):
            return together
        found = beside_alone(alone, together, len(alone), large=style.large)
        if found is None and not slow:
            found = self._among_others(rows, together)
            if found is None and style.many and row_s * _MANY <= (_LARGEST_S if self._telling else _MANY_S):
                found = beside_alone(alone, self._run(rows), len(rows), large=style.large)
        return found

    def _among_others(self, rows: Sequence[Arrays], together: Arrays) -> RowVerdict | None:
        """The first row with other neighbours, then the others with another first row."""
        first, *others = rows[:3]
        for batch, kept in (([first, *rows[4:6]], slice(0, 1)), ([rows[3], *others], slice(1, 3))):
            if (found := changed_by_neighbours(together, self._run(batch), kept)) is not None:
                return found
        return None

    def _in_the_largest_batch(self, telling: _Telling) -> RowVerdict | None:
        """The same rows again and again: some meet only in many, as where they share places, or only where equal."""
        fitting = min(_LARGEST_S / max(telling.row_s, 1e-9), _MOST_NUMBERS / max(telling.row_numbers, 1))
        count = min(self._most_rows, int(fitting))
        if count <= _MANY:
            return None
        rows = self._samples.rows(telling.style, telling.lengths, _MANY)
        alone = [self._run([row]) for row in rows]
        places = [place % _MANY for place in range(count)]
        try:
            together = self._together([rows[place] for place in places])
        except OutOfMemory:
            return None
        if isinstance(together, RowVerdict):
            return together
        return beside_alone([alone[place] for place in places], together, count, large=telling.style.large)

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
