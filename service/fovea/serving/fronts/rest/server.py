"""The HTTP server: uvicorn on a thread of its own, beside gRPC."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from fovea.contract.errors import Draining
from fovea.serving.addresses import listeners
from fovea.serving.changes import Changes
from fovea.serving.control.rpcs import Control
from fovea.serving.fronts.rest.app import Admit, RestApp
from fovea.serving.fronts.rest.connection import bounded_connection
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.requests.inference import Inference
from fovea.serving.security.tls import Tls

if TYPE_CHECKING:
    from fovea.serving.fronts.rest.rest_reply import InferReply

_LAST_WORD_S = 5.0


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

    def __init__(
        self, settings: RestSettings, inference: Inference, control: Control, changes: Changes, admit: Admit
    ) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what callers do wrong is told to them
        self._app = RestApp(
            inference, control, changes, admit, limits=settings.limits, status_codes=settings.status_codes
        )
        self._sockets = listeners(settings.host, settings.port)
        for one in self._sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer's body may wait 40 ms
        self.port = int(self._sockets[0].getsockname()[1])
        if settings.unix_socket is not None:
            self._sockets.append(settings.unix_socket)
        self._handshake_s = settings.limits.patience.handshake_s
        self._server = uvicorn.Server(_config(self._app, settings))
        self._thread = threading.Thread(target=self._serve, daemon=True, name="rest")
        self._thread.start()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: _Loop(self._handshake_s)) as runner:
            runner.run(self._server.serve(self._sockets))

    def unanswered(self) -> list[InferReply]:
        """The requests that have been taken in and whose answers have not been read."""
        return list(self._app.inference.open_replies)

    def stop(self, grace_s: float) -> None:
        """Refuse new connections and what has no answer yet, give answers `grace_s`, and return when all have ended."""
        for reply in self.unanswered():
            reply.send(Draining())
        self._server.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]  # it may have fractions
        self._server.should_exit = True
        self._thread.join(grace_s + _LAST_WORD_S)


class _Loop(asyncio.SelectorEventLoop):
    """asyncio gives a TLS handshake a minute, and uvicorn has no setting that would say otherwise."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *where: Any, **options: Any) -> Any:
        """A listener, as asyncio's."""
        if options.get("ssl"):
            options["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*where, **options)


def _config(app: RestApp, settings: RestSettings) -> uvicorn.Config:
    limits, tls = settings.limits, settings.tls
    return uvicorn.Config(
        app.asgi,
        http=bounded_connection(limits.connections, limits.patience),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.patience.idle_s,  # type: ignore[arg-type]  # it may have fractions
        ssl_context_factory=(lambda *_: tls.context()) if tls else None,
    )
