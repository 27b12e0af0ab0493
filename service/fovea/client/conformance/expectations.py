"""What cases expect of a status, a message, a JSON answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fovea.client.conformance.case import NO_ANSWER, Came, Expected

INVALID = "INVALID_ARGUMENT"
NOT_FOUND = "NOT_FOUND"
UNIMPLEMENTED = "UNIMPLEMENTED"


def _any(_: Any) -> bool:
    return True


def ok(words: str, check: Callable[[Any], bool] = _any) -> Expected:
    """gRPC's OK, and a message of which something is true."""
    return Expected(f"OK, {words}", lambda came: came.status == "OK" and bool(check(came.value)))


def refused(*codes: str) -> Expected:
    """One of these statuses of gRPC, with a text."""
    return Expected(f"{' or '.join(codes)}, and a text", lambda came: came.status in codes and bool(came.text), True)


def not_taken() -> Expected:
    """Any refusal: bytes that are no message are refused by gRPC itself in some servers, and in their own words."""
    return Expected("an error, in time", lambda came: came.status not in ("OK", NO_ANSWER), True)


def http_ok(words: str, check: Callable[[Any], bool] = _any) -> Expected:
    """200, and an `HttpAnswer` of which something is true."""
    return Expected(f"200, {words}", lambda came: came.status == "200" and bool(check(came.value)))


def http_refused() -> Expected:
    """A status that says that the request is to blame, or wants what is not offered."""
    words = "a status from 400 to 499, or 501"
    return Expected(words, lambda came: came.status.startswith("4") or came.status == "501", True)


def http_error_text() -> Expected:
    """The same, and the protocol's JSON."""

    def holds(came: Came) -> bool:
        error = came.value.json["error"]
        return http_refused().holds(came) and isinstance(error, str) and error != ""

    return Expected('a status from 400 to 499, or 501, and {"error": "…"}', holds, True)


def http_not_taken() -> Expected:
    """A status from 400 to 499, or the end of the connection."""
    words = "a status from 400 to 499, or the connection's end"
    return Expected(words, lambda came: came.status.startswith("4") or came.status == "closed", True)
