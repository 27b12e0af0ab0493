"""The HTTP server of /metrics: each scrape on a thread of its own, plain or over TLS."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

from prometheus_client import CollectorRegistry, MetricsHandler

from fovea.serving.addresses import family_of
from fovea.serving.tls import Tls

_PATIENCE_S = 10.0
"""For a caller that is silent or does not read."""


class _Server(ThreadingHTTPServer):
    def __init__(self, host: str, port: int, registry: CollectorRegistry, tls: Tls | None) -> None:
        self.address_family = family_of(host)
        handler = MetricsHandler.factory(registry)
        handler.timeout = _PATIENCE_S  # type: ignore[attr-defined]
        super().__init__((host, port), handler)
        if tls is not None:  # shaking hands is the scrape's first read, on its thread: a silent caller holds up nobody
            self.socket = tls.context().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """What callers do wrong is theirs."""


class MetricsServer:
    """Answers as soon as it is made. OSError where the port is taken."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, tls: Tls | None) -> None:
        self._server = _Server(host, port, registry, tls)
        self.port = int(self._server.server_port)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics").start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
