"""A request's head, and what its headers say about its end: what two servers might read in two ways is refused.

llhttp has parsed it, in its strict form; this checks what llhttp leaves to those who use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fovea.serving.fronts.rest.refusal import Refusal, unreadable

CHUNKED = -1
"""Stands for the size of a body that comes in chunks."""
_AUTHORITY = r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%!$&'()*+,;=-]*)(?::[0-9]{0,5})?"
_HOST = re.compile(_AUTHORITY)
_TARGET = re.compile(rf"(?:https?://(?!/){_AUTHORITY})?(/[^?#]*)(?:\?([^#]*))?|\*", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
_HOST_IS, _LENGTH_IS, _CODINGS_ARE, _CONNECTION_IS = "host", "content-length", "transfer-encoding", "connection"
_ONCE = frozenset(
    {_HOST_IS, _LENGTH_IS, "authorization", "content-type", "content-encoding", "inference-header-content-length"}
)
"""Of two of them, the one that somebody on the way looked at may be the one that is not used here."""

Headers = dict[str, str]
"""By their names in small letters; several of one name are joined by commas."""


@dataclass(slots=True)
class Head:
    """A request's line and headers."""

    method: str
    path: str
    """As it came, with escapes."""
    query: str
    headers: Headers
    version: str
    body_bytes: int
    """CHUNKED where it comes in chunks."""
    keep_alive: bool

    @property
    def expects_interim(self) -> bool:
        """Whether its caller waits for a word before it sends the body; an older one would take it for the answer."""
        return self.version == "1.1" and self.headers.get("expect", "").lower() == "100-continue"


def add_header(headers: Headers, name: bytes, value: bytes) -> None:
    """Put one more in; Refusal where it may come once and is there."""
    key, text = _key(name), value.decode("latin-1").strip(" \t")
    if key in headers:
        if key in _ONCE:
            raise unreadable(f"expected one {key.title()} header, received more")
        text = f"{headers[key]},{text}"
    headers[key] = text


@lru_cache(256)
def _key(name: bytes) -> str:
    return name.decode("latin-1").lower()


def checked_head(method: bytes, target: bytes, version: str, headers: Headers) -> Head:
    """The head; Refusal tells what is wrong with it."""
    if version not in ("1.1", "1.0"):
        raise Refusal(505, f"this server speaks HTTP/1.1 and HTTP/1.0, received HTTP/{version}", closes=True)
    found = _TARGET.fullmatch(target.decode("latin-1"))
    if found is None:
        raise unreadable("expected a path that begins with /, or a whole URL without a fragment")
    _check_host(headers.get(_HOST_IS), version)
    last = version == "1.0" or "close" in _members(headers.get(_CONNECTION_IS, ""))
    path, query = found[1] or "*", found[2] or ""
    return Head(method.decode(), path, query, headers, version, _body_bytes(headers, version), not last)


def _members(value: str) -> list[str]:
    return [member.strip(" \t") for member in value.lower().split(",")]


def _check_host(host: str | None, version: str) -> None:
    if host is None and version == "1.1":
        raise unreadable("expected a Host header, received none")
    if host is not None and not _HOST.fullmatch(host):
        raise unreadable("expected a Host header with a name or an address, and a port")


def _body_bytes(headers: Headers, version: str) -> int:
    codings, length = headers.get(_CODINGS_ARE), headers.get(_LENGTH_IS)
    if codings is not None:
        if version == "1.0":
            raise unreadable("Transfer-Encoding does not go with HTTP/1.0")
        if _members(codings) != ["chunked"]:
            raise unreadable("the only Transfer-Encoding that this server takes is chunked", 501)
        return CHUNKED
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise unreadable("expected a Content-Length that is a count of bytes")
    return int(length)
