"""What batches of a version cost, as warm-up measured them, for whoever has a batch's key and its rows."""

from __future__ import annotations

from functools import lru_cache

from fovea.runtime.cost import BatchCost
from fovea.serving.engines.queued_request import BatchKey

_NOTHING = BatchCost()
_KEPT = 1024
"""Every batch asks, and every request with a deadline; working it out takes a microsecond."""


class MeasuredCost:
    """`shapes` are those of the row that was measured, by input and without the batch axis; `steady` says that what a
    batch costs goes by no value of its rows.
    """

    def __init__(
        self, cost: BatchCost = _NOTHING, shapes: tuple[tuple[int, ...], ...] = (), *, steady: bool = False
    ) -> None:
        self.cost, self._shapes, self.steady = cost, shapes, steady
        self.seconds = lru_cache(_KEPT)(self._seconds)
        """Of a batch, by key and rows; None where nothing like it was measured."""
        self.worthwhile_rows = lru_cache(_KEPT)(cost.worthwhile_rows)
        """Of a batch of these lengths; None where none was measured."""

        self.warmed = lru_cache(_KEPT)(self._warmed)
        """Whether warm-up ran batches of this key, and as large."""

    def _seconds(self, key: BatchKey, rows: int) -> float | None:
        return self.cost.seconds(key.lengths, rows) if self._was_measured(key) else None

    def _warmed(self, key: BatchKey, rows: int) -> bool:
        return self._was_measured(key) and self.cost.warmed(key.lengths, rows)

    def _was_measured(self, key: BatchKey) -> bool:
        plain = not key.maps  # the session with maps is opened when it is first wanted
        return plain and (bool(key.lengths) or key.shapes == self._shapes)


UNMEASURED = MeasuredCost()
