"""A call's deadline on the server's own clock."""

from __future__ import annotations

import time

NEVER_S = 1e15
"""gRPC has no deadline as one that is very far away."""


def deadline_after(remaining_s: float | None) -> float | None:
    """On the monotonic clock, from the time that a call has left; None where it has all of it."""
    return None if remaining_s is None or remaining_s > NEVER_S else time.monotonic() + remaining_s
