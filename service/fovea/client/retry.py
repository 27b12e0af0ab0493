"""When a call that found nobody is tried again: exponential back-off with full jitter, within the call's deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fovea.contract.errors import FoveaError, Unavailable

_MOST_DOUBLINGS = 64
"""2 ** 1024 is no float."""


@dataclass(frozen=True)
class Retry:
    """How often and how soon. Full jitter: callers who failed together do not come back together."""

    attempts: int = 4
    """In all, the first one included."""
    first_pause_s: float = 0.1
    """The longest first pause; each later one may be twice as long."""
    longest_pause_s: float = 2.0


ONCE = Retry(attempts=1)
"""No second attempt."""


def pause_s(retry: Retry, failed: int, left_s: float, draw: Callable[[], float]) -> float | None:
    """Seconds to wait after the `failed`-th attempt; None where no other may follow, or not within `left_s`.

    `draw` gives a number in [0, 1).
    """
    if failed >= retry.attempts:
        return None
    doublings = min(failed - 1, _MOST_DOUBLINGS)
    pause = draw() * min(retry.longest_pause_s, retry.first_pause_s * 2.0**doublings)
    return pause if pause < left_s else None


class Attempts:
    """The attempts of one call. All of them share the deadline that the first one began with."""

    def __init__(self, retry: Retry, timeout_s: float, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._retry, self._clock, self._draw = retry, clock, draw
        self._until_s = clock() + timeout_s
        self._failed = 0

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self._until_s - self._clock()

    def pause_after(self, error: FoveaError) -> float:
        """Seconds to wait before the next attempt; raises the error where it is the end."""
        self._failed += 1
        pause = pause_s(self._retry, self._failed, self.left_s, self._draw) if isinstance(error, Unavailable) else None
        if pause is None:
            raise error
        return pause
