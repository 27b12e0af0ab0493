"""Which HTTP status each error becomes: one table, for every route."""

from __future__ import annotations

from collections.abc import Mapping

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
from fovea.serving.requests.error_text import as_fovea_error, text_of

StatusTable = Mapping[type[FoveaError], int]

STATUS: dict[type[FoveaError], int] = {
    FoveaError: 500,
    InvalidRequest: 400,
    NotFound: 404,
    AlreadyExists: 409,
    Unauthenticated: 401,
    Forbidden: 403,
    Unsupported: 501,
    Unavailable: 503,
    QueueFull: 503,
    QueueTimeout: 503,
    DeadlineExceeded: 504,
    Cancelled: 499,
    ModelBroken: 503,
    ExecutionFailed: 500,
    InputRefused: 400,
    OutOfMemory: 429,
    RegionTooSmall: 500,
    ExportFailed: 500,
    Misconfigured: 500,
}
"""As gRPC's codes are over HTTP, see `fovea.serving.fronts.grpc.status`: a test compares the two tables."""

IDIOMATIC: dict[type[FoveaError], int] = {QueueFull: 429, QueueTimeout: 504}
"""What replaces the table's codes with the setting `status_codes=grpc`."""


def status_table(choice: str) -> StatusTable:
    """The table for a `status_codes` setting."""
    return STATUS | IDIOMATIC if choice == "grpc" else STATUS


def status_of(error: Exception, table: StatusTable = STATUS) -> tuple[int, str]:
    """Status and text for an error. One that was not foreseen is logged, and its text keeps to itself."""
    known = as_fovea_error(error)
    return next(table[kind] for kind in type(known).__mro__ if kind in table), text_of(known)
