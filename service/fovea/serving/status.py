"""Which gRPC status each error becomes: one table, for every RPC."""

from __future__ import annotations

import logging
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
from fovea.runtime.printable import printable

log = logging.getLogger(__name__)

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

HTTP_STATUS: dict[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""What a status is over HTTP."""

_LONGEST_TEXT = 1000
_LONGEST_FOREIGN_TEXT = 500
"""Characters. Status texts travel in headers of 8 KB in all, where a letter beyond ASCII takes up to 12 bytes."""
UNFORESEEN = (grpc.StatusCode.INTERNAL, "internal error; the server's log has the details")
"""What a caller gets where the server failed in a way that nobody thought of."""


def status_table(choice: str) -> dict[type[FoveaError], grpc.StatusCode]:
    """The table for a `status_codes` setting."""
    return STATUS | IDIOMATIC if choice == "grpc" else STATUS


def status_of(
    error: Exception, table: Mapping[type[FoveaError], grpc.StatusCode] = STATUS
) -> tuple[grpc.StatusCode, str]:
    """Code and text for an error. One that was not foreseen is logged, and its text keeps to itself."""
    if not isinstance(error, FoveaError):
        log.error("an unforeseen error", exc_info=error)
        return UNFORESEEN
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind], _told(error)
    return grpc.StatusCode.INTERNAL, _told(error)


def _told(error: FoveaError) -> str:
    text = str(error)
    return printable(text, _LONGEST_TEXT if text.isascii() else _LONGEST_FOREIGN_TEXT)
