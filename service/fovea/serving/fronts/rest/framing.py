"""A request's head: its line, its headers, and what they say about where its body ends."""

from __future__ import annotations

import re
from dataclasses import dataclass

CHUNKED = -1
"""In place of a body's size."""
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/(\d\.\d)\r\n" % _TOKEN)
_HEADERS = re.compile(rb"(?:%s:[\t\x20-\x7e\x80-\xff]*\r\n)*" % _TOKEN)
_TARGET = re.compile(rb"(?:https?://[^/?#@\\]+)?/[^#]*|\*", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~%!$&'()*+,;=-]*)(?::\d{0,5})?")
_LENGTH = re.compile(rb"\d{1,18}")
_BEGIN = re.compile(rb"%s(?: |$)" % _TOKEN)
_HOST_IS, _LENGTH_IS, _CODINGS_ARE, _CONNECTION_IS = b"host", b"content-length", b"transfer-encoding", b"connection"
_ONCE = frozenset(
    {_HOST_IS, _LENGTH_IS, b"authorization", b"content-type", b"content-encoding", b"inference-header-content-length"}
)
"""Of two of them, the one that somebody on the way looked at may be the one that is not used here."""

Headers = list[tuple[bytes, bytes]]


class BadRequest(Exception):
    """What came is no request, or one that this server does not take: a status, and the text for the caller."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head."""

    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    """With names in small letters, in the order in which they came."""
    body_bytes: int
    """CHUNKED where it comes in chunks."""
    keep_alive: bool


def read_head(head: bytes) -> Head:
    """A head from its bytes, up to the empty line at its end; BadRequest tells what is wrong with it."""
    found = _REQUEST_LINE.match(head)
    if found is None:
        raise BadRequest("this is no HTTP request: expected a line such as 'GET /v2 HTTP/1.1'")
    method, target, version = found.groups()
    if version not in (b"1.1", b"1.0"):
        raise BadRequest(f"this server speaks HTTP/1.1 and HTTP/1.0, received HTTP/{version.decode()}", 505)
    if not _TARGET.fullmatch(target):
        raise BadRequest("expected a path that begins with /, or a whole URL without a fragment")
    headers = require_headers(head[found.end() :])
    told = _telling(headers)
    _check_host(told.get(_HOST_IS), version)
    last = version == b"1.0" or b"close" in _list(told.get(_CONNECTION_IS, b""))
    return Head(method, target, version, headers, _body_bytes(told, version), not last)


def require_begun(part: bytes) -> None:
    """BadRequest where a head cannot begin like this: who speaks another protocol is told so at once."""
    if not _BEGIN.match(part) or part.count(b"\n") != part.count(b"\r\n"):
        raise BadRequest("this is no HTTP request: expected a line such as 'GET /v2 HTTP/1.1'")


def require_headers(lines: bytes) -> Headers:
    """Names and values of header lines; BadRequest where one is none, also for one that goes on in the next line."""
    if not _HEADERS.fullmatch(lines):  # all at once: one by one takes twice as long, for every request
        raise BadRequest("this is no HTTP request: a header is a line such as 'Host: name'")
    parts = [line.partition(b":") for line in lines.split(b"\r\n")[:-1]]
    return [(name.lower(), value.strip(b" \t")) for name, _, value in parts]


def _telling(headers: Headers) -> dict[bytes, bytes]:
    """What is told by headers that may come once, and by those that are lists, however many lines these take."""
    told: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in told:
                raise BadRequest(f"expected one {name.decode().title()} header, received more")
            told[name] = value
        elif name in (_CODINGS_ARE, _CONNECTION_IS):
            told[name] = told[name] + b"," + value if name in told else value
    return told


def _list(value: bytes) -> list[bytes]:
    return [member.strip(b" \t") for member in value.lower().split(b",")]


def _check_host(host: bytes | None, version: bytes) -> None:
    if host is None and version == b"1.1":
        raise BadRequest("expected a Host header, received none")
    if host is not None and not _HOST.fullmatch(host):
        raise BadRequest("expected a Host header with a name or an address, and a port")


def _body_bytes(told: dict[bytes, bytes], version: bytes) -> int:
    codings, length = told.get(_CODINGS_ARE), told.get(_LENGTH_IS)
    if codings is not None:
        if length is not None or version == b"1.0":
            raise BadRequest("Transfer-Encoding goes with neither Content-Length nor HTTP/1.0")
        if _list(codings) != [b"chunked"]:
            raise BadRequest("the only Transfer-Encoding that this server takes is chunked", 501)
        return CHUNKED
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadRequest("expected a Content-Length that is a count of bytes")
    return int(length)
