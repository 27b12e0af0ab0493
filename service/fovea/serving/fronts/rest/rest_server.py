"""The HTTP server: an event loop on a thread of its own, beside gRPC."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import uvloop

from fovea.serving.addresses import listeners
from fovea.serving.fronts.rest.acceptor import Acceptor
from fovea.serving.fronts.rest.bodies import Bodies
from fovea.serving.fronts.rest.connection import Connection
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.handover import Handover
from fovea.serving.fronts.rest.http_status import status_table
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.shared import Shared
from fovea.serving.security.tls import Tls

_LAST_WORD_S = 5.0
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class RestSettings:
    """Where and how to listen."""

    host: str
    port: int
    limits: RestLimits
    status_codes: str = "triton"
    tls: Tls | None = None
    unix_socket: socket.socket | None = None
    """One that listens already, beside the port."""


class RestServer:
    """Answers as soon as it is made. OSError where the port is taken."""

    def __init__(self, settings: RestSettings, begin: Callable[[Exchange], None]) -> None:
        """`begin` is given each request once its head is here, to accept or to refuse it."""
        self._settings, self._begin = settings, begin
        self._sockets = listeners(settings.host, settings.port)
        self.port = int(self._sockets[0].getsockname()[1])
        if settings.unix_socket is not None:
            self._sockets.append(settings.unix_socket)
        self._connections: set[Connection] = set()
        self._grace_s, self._ending = 0.0, asyncio.Event()
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True, name="rest")
        self._thread.start()
        self._loop = self._started.result()

    def unanswered(self) -> list[Exchange]:
        """The requests that have been taken in and whose answers have not been read."""
        opened = [exchange for connection in list(self._connections) for exchange in connection.unread()]
        return [exchange for exchange in opened if exchange.is_complete]

    def stop(self, grace_s: float) -> None:
        """Refuse new connections and what has no answer yet, give answers `grace_s`, and return when all have ended."""
        self._grace_s = grace_s
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(grace_s + _LAST_WORD_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except Exception as error:
                self._started.set_exception(error)

    async def _serve(self) -> None:
        loop, limits = asyncio.get_running_loop(), self._settings.limits
        bodies = Bodies(limits.all_bodies_bytes)
        statuses = status_table(self._settings.status_codes)
        shared = Shared(loop, limits, self._begin, statuses, Handover(loop), bodies, self._connections)
        tls, connection = self._settings.tls, partial(Connection, shared)
        acceptors = [Acceptor(one, connection, tls, limits.patience) for one in self._sockets]
        self._started.set_result(loop)
        await self._ending.wait()
        for acceptor in acceptors:
            acceptor.close()
        await self._end(shared)

    async def _end(self, shared: Shared) -> None:
        """Of every connection: at once where nothing is owed, else after the grace."""
        until_s = shared.loop.time() + self._grace_s
        shared.is_ending = True
        for connection in list(self._connections):
            connection.end()
        while self._connections and shared.loop.time() < until_s:
            await asyncio.sleep(_LOOK_EVERY_S)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)
