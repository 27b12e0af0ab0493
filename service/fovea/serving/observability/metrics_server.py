"""The HTTP server of /metrics: each scrape on a thread of its own, plain or over TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fovea.serving.addresses import listeners
from fovea.serving.observability.scrapes import Scrape, Scrapes
from fovea.serving.security.tls import Tls

_PATIENCE_S = 10.0
"""For a caller that is silent or does not read."""
_MOST_CALLERS = 32
"""At a time, each with a thread, who send their request or read their answer. When one more comes, the one that does so
longest is cut off: that takes milliseconds, so it sends drop by drop, or does not read."""
_MOST_THREADS = 2 * _MOST_CALLERS
"""Who was cut off may still wait for a text, and new callers then for its thread: a moment, since nobody new begins."""
_PLAIN, _OPEN = "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        """Answer with all metrics, or, in the plain format, with those that `name[]` asks for."""
        names = parse_qs(urlsplit(self.path).query).get("name[]")
        accepted = self.headers.get("Accept", "")
        kind = _OPEN if _OPEN.partition(";")[0] in accepted and not names else _PLAIN
        with self.server.waited_for(self.connection):
            scrape = self.server.scrapes[kind].latest()
        if names:
            scrape = Scrape(_only(scrape.text, set(names)))
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        body = scrape.packed() if packed else scrape.text
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged of a scrape."""


class _Server(ThreadingHTTPServer):
    """Answers the scrapes that come in on one socket."""

    def __init__(self, listener: socket.socket, scrapes: Mapping[str, Scrapes], tls: Tls | None) -> None:
        """`scrapes`: media type -> who has its text."""
        self.scrapes, self._tls = scrapes, tls
        self._callers: dict[Any, None] = {}
        """Who may be cut off, first the one that has kept us waiting longest."""
        self._places = threading.BoundedSemaphore(_MOST_THREADS)
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def get_request(self) -> tuple[Any, Any]:
        """A caller. Shaking hands is the scrape's first read, on its thread: a silent one holds up nobody."""
        connection, address = self.socket.accept()
        if self._tls is not None:
            context = self._tls.now().context
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    @contextmanager
    def waited_for(self, request: Any) -> Iterator[None]:
        """Meanwhile this caller waits for its text, and is not cut off."""
        self._callers.pop(request, None)
        yield
        self._callers[request] = None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a caller on a thread."""
        for oldest in list(self._callers)[: 1 - _MOST_CALLERS]:
            self._callers.pop(oldest, None)
            with suppress(OSError):
                oldest.shutdown(SHUT_RDWR)
        self._places.acquire()
        self._callers[request] = None
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads are to be had
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def shutdown_request(self, request: Any) -> None:
        """A caller has been answered, or has failed."""
        self._callers.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """What callers do wrong is theirs."""


class MetricsServer:
    """Answers with what `plain` writes, or `openmetrics` to who accepts that format, as soon as it is made.

    OSError where the port is taken.
    """

    def __init__(
        self, host: str, port: int, plain: Callable[[], bytes], openmetrics: Callable[[], bytes], tls: Tls | None
    ) -> None:
        self._scrapes = {_PLAIN: Scrapes(plain), _OPEN: Scrapes(openmetrics)}
        sockets = listeners(host, port)
        self.port = int(sockets[0].getsockname()[1])
        self._servers = [_Server(one, self._scrapes, tls) for one in sockets]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()

    def stop(self) -> None:
        """Stop answering."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for scrapes in self._scrapes.values():
            scrapes.close()


def _only(text: bytes, names: set[str]) -> bytes:
    lines = text.decode().splitlines(keepends=True)
    return "".join(line for line in lines if line.partition(" ")[0].partition("{")[0] in names).encode()
