"""What is told of a batch that ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import sub
from typing import NamedTuple

from fovea.serving.engines.outcomes import Outcome


class Stages(NamedTuple):
    """When a batch went from one stage to the next, in seconds of the monotonic clock."""

    begun_s: float
    gathered_s: float
    ran_s: float
    ended_s: float
    """When every caller had been answered."""


class RanBatch(NamedTuple):
    """A batch that ran. Of `rows`, `arrived_s` and `outcomes` there is one for each of its requests, in order."""

    rows: Sequence[int]
    arrived_s: Sequence[float]
    outcomes: Sequence[Outcome]
    stages: Stages
    attention_s: Mapping[str, float]
    """Seconds inside each attention operator, as its kernel tells; empty where bodies run."""
    padding_ratio: float
    """The share of the batch's elements that is padding."""
    warmed: bool = True
    """Whether warm-up ran batches of this kind that were as large."""


def stage_seconds(ran: Sequence[RanBatch]) -> list[list[float]]:
    """What each of some batches, one at least, took to gather, to run, and to split and answer: a list for each."""
    moments = zip(*[one.stages for one in ran], strict=True)
    return [list(map(sub, later, earlier)) for earlier, later in pairwise(moments)]
