"""Which sizes of a length a module can run, found by trying."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fovea.contract.lengths import buckets_up_to

_SHORTEST = 3
"""Torch's tracer takes sizes of 0 and 1 for constants, and 2 for the number of rows of its example."""


@dataclass(frozen=True)
class LengthRange:
    """The shortest length that is made up, and the longest that runs; None: no limit was found."""

    shortest: int = _SHORTEST
    longest: int | None = None

    def buckets(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """Those of `wanted` that can be run, and the longest length where `wanted` would go on."""
        below = wanted if self.longest is None else buckets_up_to(self.longest, wanted)
        return tuple(bucket for bucket in below if bucket >= self.shortest) or (self.longest or self.shortest,)

    def __str__(self) -> str:
        return f"{self.shortest} or more" if self.longest is None else f"at most {self.longest}"


ANY_LENGTH = LengthRange()


def length_range(runs: Callable[[int], bool], buckets: Sequence[int]) -> LengthRange:
    """The range in which `runs(length)` holds, as far as `buckets` and one more step tell."""
    working = [bucket for bucket in buckets if runs(bucket)]
    if not working:
        return ANY_LENGTH
    return LengthRange(_shortest(runs, working[0]), _longest(runs, working[-1], buckets))


def _shortest(runs: Callable[[int], bool], working: int) -> int:
    if runs(_SHORTEST):
        return _SHORTEST
    return _SHORTEST + bisect_left(range(_SHORTEST, working), True, key=runs)


def _longest(runs: Callable[[int], bool], working: int, buckets: Sequence[int]) -> int | None:
    """Beyond the last bucket, one step is no limit yet: some modules take only multiples of a size."""
    if working == buckets[-1]:
        return None if runs(working + 1) or runs(2 * working) else working
    failing = next(bucket for bucket in buckets if bucket > working)
    return working - 1 + bisect_left(range(working, failing), True, key=lambda length: not runs(length))
