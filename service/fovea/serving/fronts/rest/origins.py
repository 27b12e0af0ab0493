"""What a trace says of a request over HTTP, by OpenTelemetry's semantic conventions for HTTP servers."""

from __future__ import annotations

from collections.abc import Mapping

from fovea.contract.errors import FoveaError
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.http_status import status_of, status_table
from fovea.serving.observability.trace_origin import PARENT, STATE, TraceOrigin

_ROUTE = "/v2/models/{name}/infer"
_ROUTE_OF_VERSION = "/v2/models/{name}/versions/{version}/infer"


class Origins:
    """Makes them of requests for inference."""

    def __init__(self, status_codes: str, scheme: str) -> None:
        self._table, self._scheme = status_table(status_codes), scheme

    def of(self, exchange: Exchange) -> TraceOrigin:
        """How a request came."""
        head = exchange.head
        route = _ROUTE_OF_VERSION if "version" in exchange.names else _ROUTE
        facts = {
            "http.request.method": head.method,
            "http.route": route,
            "url.path": head.path,
            "url.scheme": self._scheme,
        }
        parent, state = head.headers.get(PARENT, ""), head.headers.get(STATE, "")
        return TraceOrigin(f"{head.method} {route}", facts, self._status, parent, state)

    def _status(self, error: FoveaError | None) -> Mapping[str, str | int]:
        return {"http.response.status_code": 200 if error is None else status_of(error, self._table)[0]}
