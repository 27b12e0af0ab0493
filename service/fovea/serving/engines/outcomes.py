"""How a request ended: one word for metrics and statistics."""

from __future__ import annotations

from typing import Literal, get_args

from fovea.contract.errors import (
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    ExecutionFailed,
    ExportFailed,
    Forbidden,
    FoveaError,
    InputRefused,
    InvalidRequest,
    Misconfigured,
    ModelBroken,
    NotFound,
    QueueTimeout,
    RegionTooSmall,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

Outcome = Literal["ok", "invalid", "rejected", "deadline", "cancelled", "failed"]
EVERY_OUTCOME: tuple[Outcome, ...] = get_args(Outcome)
OUTCOMES: dict[type[FoveaError], Outcome] = {
    InvalidRequest: "invalid",
    NotFound: "invalid",
    AlreadyExists: "invalid",
    Unauthenticated: "invalid",
    Forbidden: "invalid",
    Unsupported: "invalid",
    RegionTooSmall: "invalid",
    Unavailable: "rejected",
    QueueTimeout: "deadline",
    DeadlineExceeded: "deadline",
    Cancelled: "cancelled",
    ModelBroken: "failed",
    InputRefused: "invalid",
    ExecutionFailed: "failed",
    ExportFailed: "failed",
    Misconfigured: "failed",
}
"""Of an error, or of what it is a kind of. Only "failed" is the model's or the server's fault."""


def outcome_of(error: FoveaError) -> Outcome:
    """How a request that got this error ended."""
    return next((OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES), "failed")
