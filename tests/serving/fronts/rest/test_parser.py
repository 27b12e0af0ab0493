"""HTTP requests out of bytes: what is one, what is none, and that it is the same however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fovea.serving.fronts.rest.framing import BadRequest, Head
from fovea.serving.fronts.rest.parser import HEAD_MAX_BYTES, Parser

Requests = list[tuple[bytes, bytes, bytes]]
POST, GET = b"POST /a HTTP/1.1\r\nHost: h\r\n", b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ANOTHER = (b"GET", b"/b", b"")


class Heard:
    """Keeps the requests that a parser tells of."""

    def __init__(self) -> None:
        self.requests: Requests = []
        self.head: Head | None = None
        self.body = b""
        self.is_answering = False

    def on_head(self, head: Head) -> None:
        assert self.head is None
        self.head, self.body = head, b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert self.head is not None
        self.requests.append((self.head.method, self.head.target, self.body))
        self.head = None


def parsed(data: bytes, *ends: int) -> Requests | int:
    """The requests in some bytes that arrive in these parts, or the status of the refusal."""
    heard = Heard()
    parser = Parser(heard)
    try:
        for start, end in pairwise((0, *ends, len(data))):
            parser.feed_data(data[start:end])
    except BadRequest as error:
        return error.status
    return heard.requests


UPGRADE = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"
GOOD: dict[str, tuple[bytes, Requests]] = {
    "two requests": (GET + GET, [ANOTHER] * 2),
    "empty lines before a request": (b"\r\n\r\n" + GET, [ANOTHER]),
    "a body and a request": (POST + b"Content-Length: 3\r\n\r\nabc" + GET, [(b"POST", b"/a", b"abc"), ANOTHER]),
    "a body of nothing": (POST + b"Content-Length: 0\r\n\r\n" + GET, [(b"POST", b"/a", b""), ANOTHER]),
    "chunks": (
        CHUNKED + b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n" + GET,
        [(b"POST", b"/a", b"abc0123456789"), ANOTHER],
    ),
    "chunks with extensions": (
        CHUNKED + b"1;a=b\r\nx\r\n1 ;c\r\ny\r\n0;d\r\n\r\n" + GET,
        [(b"POST", b"/a", b"xy"), ANOTHER],
    ),
    "trailers": (
        CHUNKED + b"1\r\nx\r\n0\r\nContent-Length: 9\r\nA: b\r\n\r\n" + GET,
        [(b"POST", b"/a", b"x"), ANOTHER],
    ),
    "a chunk that looks like the end": (CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", [(b"POST", b"/a", b"0\r\n\r\n")]),
    "an offer of another protocol, and the end": (
        POST + UPGRADE + b"Content-Length: 2\r\n\r\nab" + GET,
        [(b"POST", b"/a", b"ab")],
    ),
    "HTTP/1.0, without a host": (b"GET /b HTTP/1.0\r\n\r\n" + GET, [ANOTHER]),
    "a whole URL": (b"GET http://h/b HTTP/1.1\r\nHost: h\r\n\r\n", [(b"GET", b"http://h/b", b"")]),
    "hosts": (
        b"".join(GET.replace(b": h", b": " + host) for host in (b"[::1]:80", b"a.b:1", b"", b"127.0.0.1")),
        [ANOTHER] * 4,
    ),
    "a value of bytes beyond ASCII": (GET[:-2] + b"A: \xff \t\r\n\r\n", [ANOTHER]),
}


@pytest.mark.parametrize("case", GOOD)
def test_requests_are_the_same_however_their_bytes_arrive(case: str) -> None:
    data, requests = GOOD[case]
    assert parsed(data) == requests
    assert parsed(data, *range(1, len(data))) == requests
    assert all(parsed(data, end) == requests for end in range(1, len(data)))


def with_header(line: bytes, method: bytes = POST) -> bytes:
    return method + line + b"\r\n\r\n"


BAD: dict[str, tuple[bytes, int]] = {
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /b\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "HTTP/1.2": (GET.replace(b"1.1", b"1.2"), 505),
    "two blanks": (GET.replace(b" /b", b"  /b"), 400),
    "a path without /": (GET.replace(b"/b", b"b"), 400),
    "a fragment": (GET.replace(b"/b", b"/b#c"), 400),
    "a tunnel": (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    "bytes beyond ASCII in the path": (GET.replace(b"/b", b"/\xff"), 400),
    "no host": (b"GET /b HTTP/1.1\r\n\r\n", 400),
    "two hosts": (with_header(b"host: h"), 400),
    "a host that is a path": (GET.replace(b": h", b": h/b"), 400),
    "a host with somebody": (GET.replace(b": h", b": me@h"), 400),
    "a host with half an address": (GET.replace(b": h", b": [::1"), 400),
    "no colon": (with_header(b"no colon"), 400),
    "no name": (with_header(b": value"), 400),
    "a blank before the colon": (with_header(b"A : b"), 400),
    "a line that goes on": (with_header(b"A: b\r\n c"), 400),
    "a line that goes on, of the framing": (with_header(b"Transfer-Encoding:\r\n chunked"), 400),
    "NUL": (with_header(b"A: \0"), 400),
    "a bare CR": (with_header(b"A: b\rc"), 400),
    "a bare LF": (with_header(b"A: b\nContent-Length: 5"), 400),
    "nothing but bare LFs": (GET.replace(b"\r\n", b"\n"), 400),
    **{
        f"Content-Length: {length!r}": (with_header(b"Content-Length: " + length), 400)
        for length in (b"-1", b"+1", b"0x1", b"1, 1", b"1 1", b"", b"1_0", b"9" * 19, b"\xb2")
    },
    "two lengths": (with_header(b"Content-Length: 1\r\nContent-Length: 1"), 400),
    "length and chunks": (with_header(b"Content-Length: 4\r\nTransfer-Encoding: chunked"), 400),
    "chunks and length": (with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 4"), 400),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0"), 400),
    **{
        f"Transfer-Encoding: {coding!r}": (with_header(b"Transfer-Encoding: " + coding), 501)
        for coding in (
            b"gzip, chunked",
            b"gzip",
            b"identity",
            b"xchunked",
            b"chunked, chunked",
            b"chunked, identity",
            b"",
        )
    },
    "two codings in two lines": (with_header(b"Transfer-Encoding: gzip\r\ntransfer-encoding: chunked"), 501),
    "a tab before the coding's end": (with_header(b"Transfer-Encoding: \x0bchunked"), 400),
    **{
        f"two of {name.decode()}": (with_header(name + b": 1\r\n" + name + b": 2"), 400)
        for name in (b"Authorization", b"Content-Type", b"Content-Encoding", b"Inference-Header-Content-Length")
    },
    **{
        f"a chunk of {size!r}": (CHUNKED + size + b"\r\nx\r\n0\r\n\r\n", 400)
        for size in (b"", b"zz", b"-1", b"+1", b"0x1", b"1 ", b" 1", b"1_0", b"1" * 16, b"1;a\nb", b"1;\0")
    },
    "a chunk that is longer than its size": (CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", 400),
    "a chunk with a bare LF": (CHUNKED + b"1\nx\n0\n\n", 400),
    "a trailer without a colon": (CHUNKED + b"0\r\nno colon\r\n\r\n", 400),
    "a large head": (with_header(b"A: " + b"x" * HEAD_MAX_BYTES), 431),
    "a head without an end": (POST + b"A: " + b"x" * HEAD_MAX_BYTES, 431),
    "empty lines without an end": (b"\r\n" * HEAD_MAX_BYTES, 431),
    "large trailers": (CHUNKED + b"0\r\nA: " + b"x" * HEAD_MAX_BYTES, 431),
    "a large extension of a chunk": (CHUNKED + b"1;" + b"x" * HEAD_MAX_BYTES, 400),
    "many extensions of chunks": (CHUNKED + b"1;abcdefgh\r\nx\r\n" * (HEAD_MAX_BYTES // 8), 431),
}


@pytest.mark.parametrize("case", BAD)
def test_what_might_be_read_in_two_ways_is_refused_however_its_bytes_arrive(case: str) -> None:
    data, status = BAD[case]
    assert parsed(data + GET) == status
    assert parsed(data + GET, *range(1, len(data), 7)) == status


def test_what_comes_behind_a_request_that_has_no_answer_waits() -> None:
    heard = Heard()
    parser = Parser(heard)
    heard.is_answering = True
    parser.feed_data(GET + b"NONE")
    assert (heard.requests, parser.is_held, parser.owed) == ([], True, None)
    heard.is_answering = False
    with pytest.raises(BadRequest):
        parser.feed_data(b"\r\n")
    assert heard.requests == [ANOTHER]
