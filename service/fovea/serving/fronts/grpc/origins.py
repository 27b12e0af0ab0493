"""What a trace says of a gRPC call, by OpenTelemetry's semantic conventions for RPC (release candidate)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fovea import wire
from fovea.contract.errors import FoveaError
from fovea.serving.fronts.grpc.call_reply import Call
from fovea.serving.fronts.grpc.status import StatusTable, status_of
from fovea.serving.observability.trace_origin import PARENT, STATE, TraceOrigin


class Origins:
    """Makes them of calls, whose metadata are theirs or their stream's."""

    def __init__(self, table: StatusTable) -> None:
        self._table = table

    def of(self, call: Call) -> TraceOrigin:
        """How a request came that this call brought."""
        method = wire.path(call.rpc).removeprefix("/")
        found = _texts(call.metadata)
        facts = {"rpc.system.name": "grpc", "rpc.method": method}
        return TraceOrigin(method, facts, self._status, found.get(PARENT, ""), found.get(STATE, ""))

    def _status(self, error: FoveaError | None) -> Mapping[str, str | int]:
        return {"rpc.response.status_code": "OK" if error is None else status_of(error, self._table)[0].name}


def _texts(metadata: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Several of one key are joined, as over HTTP."""
    found: dict[str, str] = {}
    for key, value in metadata:
        if key in (PARENT, STATE) and isinstance(value, str):
            found[key] = f"{found[key]},{value}" if key in found else value
    return found
