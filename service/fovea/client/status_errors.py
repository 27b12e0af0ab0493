"""Which FoveaError a failed call's status means: one table."""

from __future__ import annotations

from typing import Any

import grpc

from fovea.contract.errors import (
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    ExecutionFailed,
    Forbidden,
    FoveaError,
    InvalidRequest,
    NotFound,
    Unauthenticated,
    Unavailable,
    Unsupported,
)

ERRORS: dict[grpc.StatusCode, type[FoveaError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
    grpc.StatusCode.UNIMPLEMENTED: Unsupported,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: FoveaError,  # too much of something: bytes, streams, memory; no retry helps
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INTERNAL: ExecutionFailed,
}
"""Every other status is a plain FoveaError."""


def error_of(error: Any, address: str) -> FoveaError:
    """The error that a `grpc.RpcError` means, with the server's text."""
    kind = ERRORS.get(error.code(), FoveaError)
    if kind in (Unavailable, DeadlineExceeded):
        return kind(f"{address}: {error.details()}")
    return kind(error.details() or error.code().name)
