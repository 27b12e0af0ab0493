"""When an alert's condition held and when it fired, as a Prometheus has it in its memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.prometheus_servers import RunningPrometheus

_STEP_S = 0.25


@dataclass(frozen=True)
class Alert:
    """A rule: its condition, and for how long it has to hold."""

    name: str
    condition: str
    hold_s: float


@dataclass(frozen=True)
class Times:
    """How long after its condition had held long enough an alert fired, and how long after it held no more."""

    late_s: float
    lingered_s: float


def alerts_of(prometheus: RunningPrometheus) -> list[Alert]:
    """Those that it evaluates."""
    groups = prometheus.ask("rules", type="alert")["groups"]
    return [Alert(rule["name"], rule["query"], rule["duration"]) for group in groups for rule in group["rules"]]


def times_of(prometheus: RunningPrometheus, alert: Alert, since_s: float) -> Times | None:
    """None of an alert that has not fired."""
    held = _stretches(_moments(prometheus, alert.condition, since_s))
    fired = _moments(prometheus, f'ALERTS{{alertname="{alert.name}",alertstate="firing"}}', since_s)
    long_enough = [one for one in held if one[1] - one[0] >= alert.hold_s + prometheus.evaluation_s]
    if not fired or not long_enough:
        return None
    return Times(fired[0] - long_enough[0][0] - alert.hold_s, fired[-1] - held[-1][1])


def _moments(prometheus: RunningPrometheus, query: str, since_s: float) -> list[float]:
    """When a query gave something."""
    asked = {"query": query, "start": f"{since_s:.3f}", "end": f"{time.time():.3f}", "step": str(_STEP_S)}
    series = prometheus.ask("query_range", **asked)["result"]
    return sorted({float(moment) for one in series for moment, _ in one["values"]})


def _stretches(moments: Sequence[float]) -> list[tuple[float, float]]:
    """First and last moment of each stretch without a gap."""
    if not moments:
        return []
    gaps = [(before, after) for before, after in pairwise(moments) if after - before > 1.5 * _STEP_S]
    return list(
        zip([moments[0], *(after for _, after in gaps)], [*(before for before, _ in gaps), moments[-1]], strict=True)
    )
