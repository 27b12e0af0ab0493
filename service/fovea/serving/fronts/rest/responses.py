"""Responses: JSON, errors as JSON, and one that tells when it has been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fovea.contract.errors import Cancelled, FoveaError, Unauthenticated
from fovea.serving.fronts.rest.http_status import STATUS, StatusTable, status_of
from fovea.serving.fronts.rest.json_values import json_data


class WatchedResponse(Response):
    """A response that tells when the caller has read it, but for what fits into a buffer."""

    def __init__(self, body: bytes, headers: dict[str, str], done: Callable[[], None]) -> None:
        super().__init__(body, headers=headers)
        self._done = done

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; the last, empty, part waits for the others to be read."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._done()


def json_response(value: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A response of JSON."""
    return Response(json_data(value), status, headers, "application/json")


def handlers(table: StatusTable) -> dict[Any, Any]:
    """Exception -> what makes a response of it."""

    def failed(_: Request, error: Exception) -> Response:
        status, text = status_of(error, table)
        wanted = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
        return json_response({"error": text}, status, wanted)

    return {ClientDisconnect: _gone, HTTPException: _not_http, FoveaError: failed, Exception: failed}


def _gone(_request: Request, _error: Exception) -> Response:
    return json_response({"error": "the caller is gone"}, STATUS[Cancelled])


def _not_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"no such path: {request.url.path}" if error.status_code == 404 else error.detail
    return json_response({"error": text}, error.status_code, error.headers)
