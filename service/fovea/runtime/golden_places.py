"""Golden answers that are too large to keep whole: of each row, the values at some places.

They are spread evenly, each somewhere at random in a stretch of its own. So a wrong plane or row meets many of them,
and so does what is wrong at the end of every plane or row, where kernels have their remainders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.runtime.arrays import Arrays

MOST_BYTES = 8 << 20
"""Of all answers and places of a golden batch together."""
_VALUE_BYTES = 8


@dataclass(frozen=True)
class Places:
    """Places in a row's answer of this shape, counted along all its axes."""

    shape: tuple[int, ...]
    flat: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.flat.ndim != 1 or self.flat.dtype != np.int64:
            raise ValueError("places are a list of whole numbers")
        if self.flat.size and not 0 <= self.flat.min() <= self.flat.max() < prod(self.shape):
            raise ValueError(f"places beyond a row of shape {list(self.shape)}")

    @classmethod
    def spread(cls, shape: tuple[int, ...], count: int) -> Places:
        """So many, the first and the last of the row among them."""
        ends = np.linspace(0, prod(shape), count + 1)
        within = np.random.default_rng(count).random(count)
        within[0] = 0.0
        flat = np.floor(ends[:-1] + within * np.diff(ends)).astype(np.int64)
        flat[-1] = prod(shape) - 1
        return cls(shape, flat)

    def values(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Those of each row, of answers whose rows have this shape."""
        return answers.reshape(len(answers), -1)[:, self.flat]


def places_to_keep(answers: Arrays) -> Mapping[str, Places]:
    """For those answers (name -> rows) that cannot be kept whole within `MOST_BYTES`. Small ones are, first of all."""
    rows = max((len(array) for array in answers.values() if array.ndim), default=1)
    left, found = MOST_BYTES // (_VALUE_BYTES * (rows + 1)), dict[str, Places]()
    by_size = sorted(answers, key=lambda name: prod(answers[name].shape[1:]))
    for number, name in enumerate(by_size):
        shape, share = answers[name].shape[1:], left // (len(by_size) - number)
        if prod(shape) > share:
            found[name] = Places.spread(shape, max(1, share))
        left -= min(prod(shape), share)
    return found
