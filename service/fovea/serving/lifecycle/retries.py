"""When to try again what could not be loaded for a reason that may pass: soon, and then ever less often."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_FIRST_S = 10.0
_MOST_S = 600.0
"""A trial may take a core for 20 s, or more: of ten minutes that is little."""


@dataclass(frozen=True)
class _Plan:
    at_s: float
    next_delay_s: float


class Retries:
    """Plans by name. Its clock is its callers'."""

    def __init__(self) -> None:
        self._plans: dict[str, _Plan] = {}

    def due(self, failing: Collection[str], now_s: float) -> list[str]:
        """Those of the failing whose time has come; each is told once, and planned anew. The others are forgotten."""
        new = _Plan(now_s + _FIRST_S, 2 * _FIRST_S)
        plans = {name: self._plans.get(name, new) for name in failing}
        due = [name for name, plan in plans.items() if plan.at_s <= now_s]
        for name in due:
            delay_s = plans[name].next_delay_s
            plans[name] = _Plan(now_s + delay_s, min(2 * delay_s, _MOST_S))
        self._plans = plans
        return due
