"""Requests to measure with, as callers send them: they differ, and none is in a core's cache from the run before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fovea.runtime.arrays import Arrays

_MOST_BYTES = 8 << 20
"""Several times what a core keeps in a cache of its own: by the time a row comes again, it has left."""
_MOST_ROWS = 256
"""Of small rows, which cost hardly more when they are in no cache."""


class ColdRows:
    """Copies of the rows, each in memory of its own, one after the other and then again from the first."""

    def __init__(self, rows: Sequence[Arrays]) -> None:
        self._rows = rows
        fitting = _MOST_BYTES // max(1, sum(array.nbytes for array in rows[0].values()))
        self._most = max(2, min(_MOST_ROWS, fitting))
        self._copies: list[Arrays] = []
        self._taken = 0

    def take(self, count: int) -> list[Arrays]:
        """The next so many; where they do not all fit, some are there twice."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Arrays:
        place = self._taken % self._most
        self._taken += 1
        if place == len(self._copies):
            row = self._rows[place % len(self._rows)]
            self._copies.append({name: np.copy(array) for name, array in row.items()})
        return self._copies[place]
