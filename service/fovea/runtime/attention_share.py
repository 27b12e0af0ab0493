"""How much of a model's time its attention takes, measured once on the golden batch."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from fovea.runtime.golden import golden_of, run_golden
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.profile import profile_attention

_RUNS = 5


def attention_share(version: LoadedVersion, clock: Callable[[], float]) -> float | None:
    """Time inside attention as a share of a run's, 0 to 1; None without attention or golden batch, or where part of
    it cannot be measured.

    By the kernels' own tally where they run every attention operator, else from a profile.
    """
    golden = golden_of(version.path, version.card)
    if golden is None or version.kernels == "none" or version.unmeasured_operators:
        return None
    runs: list[tuple[float, float]] = []
    for _ in range(_RUNS):
        begin_s = clock()
        run_golden(version.session, golden)
        runs.append((clock() - begin_s, sum(version.session.attention_s.values())))
    taken_s, attention_s = (statistics.median(column) for column in zip(*runs, strict=True))
    if version.profiled_operators:
        attention_s = sum(profile_attention(version, golden.inputs).values())
    return float(min(attention_s / taken_s, 1.0))
