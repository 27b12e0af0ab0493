"""gRPC's health service, which may forget a name again."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from fovea.wire import SERVICE

SERVER = ("", SERVICE)
"""What the server as a whole is called."""
_Status = health_pb2.HealthCheckResponse
_STATUS = {True: _Status.SERVING, False: _Status.NOT_SERVING, None: _Status.SERVICE_UNKNOWN}


class Health(health.HealthServicer):  # type: ignore[misc]  # it has no types
    """Tells who asks, and those who watch, of each name: the server, its service, and its models."""

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=True)
        for name in SERVER:  # gRPC's own begins with SERVING
            self.tell(name, serving=False)

    def tell(self, name: str, serving: bool | None) -> None:
        """How it is from now on; None where there is nothing of this name any more."""
        self.set(name, _STATUS[serving])

    def Check(self, request: Any, context: Any) -> Any:
        """The status of a name; NOT_FOUND, as the protocol has it, of one that is unknown, or known no more."""
        answer = super().Check(request, context)
        if answer.status == _Status.SERVICE_UNKNOWN:
            context.set_code(grpc.StatusCode.NOT_FOUND)
        return answer
