"""Health over HTTP, for probes that do not speak gRPC: /v2/health/live and /v2/health/ready."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Checks = Mapping[str, Callable[[], bool]]


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True


class _HttpServer6(_HttpServer):
    address_family = socket.AF_INET6


class HealthServer:
    """Answers 200 or 503 for each path of `checks`, 404 for others. OSError where the port is taken."""

    def __init__(self, host: str, port: int, checks: Checks) -> None:
        self._server = (_HttpServer6 if ":" in host else _HttpServer)((host, port), _handler(checks))
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True, name="http-health").start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _handler(checks: Checks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds for a caller to say what it wants

        def do_GET(self) -> None:
            check = checks.get(self.path.split("?")[0])
            if check is None:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"no such path; there are {sorted(checks)}"})
            else:
                well = check()
                self._answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, {"ok": well})

        def _answer(self, status: HTTPStatus, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds and are not news."""

    return Handler
