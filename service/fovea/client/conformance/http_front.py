"""Any bytes to a server's HTTP front, and what came, in bounded time and size."""

from __future__ import annotations

import io
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from types import MappingProxyType
from typing import Any, cast

from fovea.client.channels import Access
from fovea.client.conformance.case import NO_ANSWER, Came

_MOST_BYTES = 64 << 20
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class HttpAnswer:
    """One answer. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON, of the part before binary data where there are some; ValueError where it is none."""
        length = self.headers.get("inference-header-content-length")
        return json.loads(self.body[: int(length)] if length else self.body)

    @property
    def data(self) -> bytes:
        """The binary data behind the JSON."""
        return self.body[int(self.headers["inference-header-content-length"]) :]


class HttpFront:
    """Opens a connection for each question, and waits no longer than `timeout_s` for its whole answer."""

    name = "HTTP"

    def __init__(self, address: str, timeout_s: float, access: Access) -> None:
        self.address, self._timeout_s = address, timeout_s
        host, _, port = address.rpartition(":")
        self._target = host.strip("[]"), int(port)
        self._tls = _tls(access)
        self._tls_name = access.get("tls_name") or self._target[0]
        token = access.get("token")
        self._own = {"host": address, **({"authorization": f"Bearer {token}"} if token else {})}

    def get(self, path: str) -> Came:
        """A GET."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = _NO_HEADERS) -> Came:
        """One request on a connection of its own."""
        return self.raw(self.request(method, path, body, {"connection": "close", **headers}))

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        """A request's bytes. The headers say of a body that it is JSON, and its length; one that is "" is left out."""
        own = dict(self._own)
        if body is not None:
            own |= {"content-type": "application/json", "content-length": str(len(body))}
        given = {name.lower() for name in headers}
        kept = {name: value for name, value in own.items() if name not in given}
        lines = [f"{name}: {value}" for name, value in {**kept, **headers}.items() if value]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + (body or b"")

    def raw(self, *requests: bytes, half_close: bool = False) -> Came:
        """Any bytes on one connection, each sent after the answer before it; what came to the last.

        `half_close`: nothing follows, and the server is told so.
        """
        until_s = time.monotonic() + self._timeout_s
        try:
            came = Came("closed")
            with self._connected() as connection:
                for data in requests:
                    connection.sendall(data)
                    if half_close:
                        connection.shutdown(socket.SHUT_WR)
                    came = self._read(connection, until_s)
                return came
        except TimeoutError:
            return Came(NO_ANSWER, f"no whole one within {self._timeout_s:g} s")
        except (ConnectionRefusedError, socket.gaierror) as error:
            return Came(NO_ANSWER, f"{self.address}: {error.strerror}")
        except OSError as error:
            return Came("closed", str(error))

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._target, self._timeout_s)
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname=self._tls_name)

    def _read(self, connection: socket.socket, until_s: float) -> Came:
        data, ended = bytearray(), False
        while not ended and len(data) < _MOST_BYTES:
            connection.settimeout(max(until_s - time.monotonic(), 0.001))
            part = connection.recv(1 << 16)
            data += part
            ended = not part
            if time.monotonic() > until_s:
                raise TimeoutError
            if (found := _whole(bytes(data), ended)) is not None:
                return Came(str(found.status), found.body[:1000].decode(errors="replace"), found)
        return Came("closed", f"after {len(data)} bytes that are no whole answer")


def _tls(access: Access) -> ssl.SSLContext | None:
    if not any(access.get(name) for name in ("tls", "tls_ca", "tls_cert", "tls_name")):
        return None
    context = ssl.create_default_context(cafile=access.get("tls_ca"))
    if "tls_cert" in access:
        context.load_cert_chain(access["tls_cert"], access.get("tls_key"))
    return context


class _Received(io.BytesIO):
    """What `HTTPResponse` reads from, which asks a socket for a file."""

    def makefile(self, *_: Any) -> io.BytesIO:
        return self


def _whole(data: bytes, ended: bool) -> HttpAnswer | None:
    """The answer; None where it is not whole yet, or no HTTP."""
    if b"\r\n\r\n" not in data:
        return None
    response = HTTPResponse(cast(socket.socket, _Received(data)))
    try:
        response.begin()
        if response.length is None and not response.chunked and not ended:
            return None  # its body goes on until the connection ends
        body = response.read()
    except HTTPException:
        return None
    return HttpAnswer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
