"""How much a run tries, and whether it is judged by time: only the full one is, on a machine that is quiet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Effort:
    """Counts and seconds of all scenarios."""

    fuzzed_messages: int
    fuzzed_http: int
    callers: int
    idle_connections: int
    overload_s: float
    soak_s: float
    restarts: int
    dear_pictures: int
    every_alert: bool
    judged_by_time: bool


FULL = Effort(
    fuzzed_messages=200_000,
    fuzzed_http=20_000,
    callers=10_000,
    idle_connections=2_000,
    overload_s=60.0,
    soak_s=600.0,
    restarts=10,
    dear_pictures=32,
    every_alert=True,
    judged_by_time=True,
)
SHORT = Effort(
    fuzzed_messages=6_000,
    fuzzed_http=1_000,
    callers=1_000,
    idle_connections=2_000,
    overload_s=10.0,
    soak_s=15.0,
    restarts=2,
    dear_pictures=4,
    every_alert=False,
    judged_by_time=False,
)


@dataclass(frozen=True)
class Run:
    """What a scenario is given."""

    effort: Effort
    scratch: Path
    """A folder of its own."""
    failures: Path
    """Where what failed is kept, to be sent again."""
    seed: int
    lane: str = "--fast-lane"
    """Which way calls go through the server."""

    def pooled(self) -> Run:
        """A quarter of it on the pooled lane."""
        less = {name: getattr(self.effort, name) // 4 for name in ("fuzzed_messages", "fuzzed_http", "callers")}
        return replace(self, lane="--no-fast-lane", effort=replace(self.effort, **less))
