"""How a request ended: one word for metrics and statistics."""

from __future__ import annotations

from typing import Literal, get_args

from fovea.contract.errors import (
    Cancelled,
    DeadlineExceeded,
    Draining,
    ExecutionFailed,
    FoveaError,
    InvalidRequest,
    NotReady,
    OutOfMemory,
    QueueFull,
    QueueTimeout,
    VersionEnded,
)

Outcome = Literal["ok", "invalid", "rejected", "deadline", "cancelled", "failed"]
EVERY_OUTCOME: tuple[Outcome, ...] = get_args(Outcome)
_OUTCOMES: dict[type[FoveaError], Outcome] = {
    InvalidRequest: "invalid",
    QueueFull: "rejected",
    Draining: "rejected",
    NotReady: "rejected",
    VersionEnded: "rejected",
    QueueTimeout: "deadline",
    DeadlineExceeded: "deadline",
    Cancelled: "cancelled",
    ExecutionFailed: "failed",
    OutOfMemory: "failed",
}


def outcome_of(error: FoveaError) -> Outcome:
    """How a request that got this error ended."""
    return _OUTCOMES.get(type(error), "failed")
