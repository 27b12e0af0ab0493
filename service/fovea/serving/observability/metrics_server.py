"""The HTTP server of /metrics: each scrape on a thread of its own, plain or over TLS."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler

from fovea.serving.addresses import family_of
from fovea.serving.security.tls import Tls

_PATIENCE_S = 10.0
"""For a caller that is silent or does not read."""
_MOST_CALLERS = 32
"""At a time, each with a thread. When one more comes, the one that came first is cut off: a scrape takes milliseconds,
so who has been here longest sends drop by drop, or does not read."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, host: str, port: int, registry: CollectorRegistry, tls: Tls | None) -> None:
        self.address_family = family_of(host)
        handler = MetricsHandler.factory(registry)
        handler.timeout = _PATIENCE_S  # type: ignore[attr-defined]
        self._callers: dict[Any, None] = {}
        """In the order in which they came."""
        super().__init__((host, port), handler)
        if tls is not None:  # shaking hands is the scrape's first read, on its thread: a silent caller holds up nobody
            self.socket = tls.context().wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a caller on a thread."""
        for oldest in list(self._callers)[: 1 - _MOST_CALLERS]:
            self._callers.pop(oldest, None)
            with suppress(OSError):
                oldest.shutdown(SHUT_RDWR)
        self._callers[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A caller has been answered, or has failed."""
        self._callers.pop(request, None)
        super().shutdown_request(request)

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
