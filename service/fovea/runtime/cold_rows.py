"""Requests to measure with, as callers send them: they differ, and none is in a core's cache from the run before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np

from fovea.runtime.arrays import Arrays

_BYTES = 8 << 20
"""Several times what a core keeps in a cache of its own: by the time a row comes again, it has left."""
_MOST_ROWS = 256
"""Of small rows, which cost hardly more when they are in no cache."""


class ColdRows:
    """Copies of the rows, each in memory of its own, one after the other and then again from the first.

    All are made before one is taken: what was just written is in the cache too.
    """

    def __init__(self, rows: Sequence[Arrays]) -> None:
        fitting = _BYTES // max(1, sum(array.nbytes for array in rows[0].values()))
        count = max(2, min(_MOST_ROWS, fitting))
        copies = ({name: np.copy(array) for name, array in rows[place % len(rows)].items()} for place in range(count))
        self._rows = cycle(list(copies))

    def take(self, count: int) -> list[Arrays]:
        """The next so many; where they do not all fit, some are there twice."""
        return list(islice(self._rows, count))
