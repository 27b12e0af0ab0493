"""Which gRPC status each error becomes: one table, for every RPC."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

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
    OutOfMemory,
    QueueFull,
    QueueTimeout,
    RegionTooSmall,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from fovea.serving.requests.error_text import UNFORESEEN as UNFORESEEN_TEXT
from fovea.serving.requests.error_text import as_fovea_error, text_of

StatusTable = Mapping[type[FoveaError], grpc.StatusCode]

STATUS: dict[type[FoveaError], grpc.StatusCode] = {
    FoveaError: grpc.StatusCode.INTERNAL,
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    QueueFull: grpc.StatusCode.UNAVAILABLE,
    QueueTimeout: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Cancelled: grpc.StatusCode.CANCELLED,
    ModelBroken: grpc.StatusCode.UNAVAILABLE,
    ExecutionFailed: grpc.StatusCode.INTERNAL,
    InputRefused: grpc.StatusCode.INVALID_ARGUMENT,
    OutOfMemory: grpc.StatusCode.RESOURCE_EXHAUSTED,
    RegionTooSmall: grpc.StatusCode.INTERNAL,
    ExportFailed: grpc.StatusCode.INTERNAL,
    Misconfigured: grpc.StatusCode.INTERNAL,
}
"""Triton's clients retry on UNAVAILABLE, so a full queue and a queue timeout are that by default."""

IDIOMATIC: dict[type[FoveaError], grpc.StatusCode] = {
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    QueueTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""What replaces the table's codes with the setting `status_codes=grpc`."""

UNFORESEEN = (grpc.StatusCode.INTERNAL, UNFORESEEN_TEXT)
"""What a caller gets where the server failed in a way that nobody thought of."""


def status_table(choice: str) -> dict[type[FoveaError], grpc.StatusCode]:
    """The table for a `status_codes` setting."""
    return STATUS | IDIOMATIC if choice == "grpc" else STATUS


def status_of(error: Exception, table: StatusTable = STATUS) -> tuple[grpc.StatusCode, str]:
    """Code and text for an error. One that was not foreseen is logged, and its text keeps to itself."""
    known = as_fovea_error(error)
    return next(table[kind] for kind in type(known).__mro__ if kind in table), text_of(known)
