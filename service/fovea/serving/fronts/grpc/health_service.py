"""gRPC's health service, which may forget a name again: who asks and who watches holds no thread and delays nobody."""

from __future__ import annotations

import threading
from typing import Protocol

from grpc_health.v1 import health_pb2

from fovea import wire
from fovea.contract.errors import InvalidRequest, NotFound
from fovea.serving.fronts.grpc.call_reply import Call
from fovea.serving.fronts.grpc.parsing import parse_small
from fovea.serving.fronts.grpc.status import status_of

SERVICE = "grpc.health.v1.Health"
SERVER = ("", wire.SERVICE)
"""What the server as a whole is called."""
_Status = health_pb2.HealthCheckResponse
_BODIES = {
    told: bytes(_Status(status=status).SerializeToString())
    for told, status in ((True, _Status.SERVING), (False, _Status.NOT_SERVING), (None, _Status.SERVICE_UNKNOWN))
}
_FEW_WATCHERS = 64


class Watcher(Call, Protocol):
    """An open Watch call."""

    def tell(self, body: bytes) -> None:
        """Send a message; never blocks."""


class Health:
    """Tells who asks, and those who watch, of each name: the server, its service, and its models. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serving = dict.fromkeys(SERVER, False)
        self._watchers: list[tuple[Watcher, str]] = []
        self._most_watchers = _FEW_WATCHERS
        """Before those that have left are looked for."""

    def tell(self, name: str, serving: bool | None) -> None:
        """How it is from now on; None where there is nothing of this name any more."""
        with self._lock:
            if serving is None:
                self._serving.pop(name, None)
            else:
                self._serving[name] = serving
            for watcher, watched in self._watchers:
                if watched == name:
                    watcher.tell(_BODIES[serving])

    def check(self, call: Call, data: bytes) -> None:
        """Answer with the status of a name; NOT_FOUND, as the protocol has it, of one that is unknown."""
        try:
            name = _name_in(data)
            if name not in self._serving:
                raise NotFound(f"nothing is called '{name}' here")
            call.finish(_BODIES[self._serving[name]])
        except Exception as error:
            call.refuse(*status_of(error))

    def watch(self, call: Watcher, data: bytes) -> None:
        """Tell of a name now, and whenever that changes, until the caller leaves."""
        try:
            name = _name_in(data)
        except InvalidRequest as error:
            call.refuse(*status_of(error))
            return
        call.watch()
        with self._lock:
            self._watchers.append((call, name))
            if len(self._watchers) > self._most_watchers:
                self._forget_who_left()
            call.tell(_BODIES[self._serving.get(name)])

    def _forget_who_left(self) -> None:
        self._watchers = [(watcher, name) for watcher, name in self._watchers if not watcher.gone]
        self._most_watchers = max(_FEW_WATCHERS, 2 * len(self._watchers))


def _name_in(data: bytes) -> str:
    return str(parse_small("HealthCheckRequest", data, health_pb2.HealthCheckRequest).service)
