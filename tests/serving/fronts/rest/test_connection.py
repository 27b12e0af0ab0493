"""A connection and its requests, byte by byte: what is one, what is none, and that answers come in turn."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypeVar

import pytest
import uvloop

from fovea.serving.fronts.rest.bodies import Bodies
from fovea.serving.fronts.rest.connection import Connection
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.handover import Handover
from fovea.serving.fronts.rest.http_status import STATUS
from fovea.serving.fronts.rest.limits import Bound, RestLimits
from fovea.serving.fronts.rest.parser import HEAD_MAX_BYTES
from fovea.serving.fronts.rest.shared import Shared

T = TypeVar("T")
Requests = list[list[str]]
POST, GET = b"POST /a HTTP/1.1\r\nHost: h\r\n", b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ANOTHER = ["GET", "/b", ""]
BODY_MAX_BYTES = 1 << 20


def run(main: Callable[[], Awaitable[T]]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())  # type: ignore[arg-type]


def echo(exchange: Exchange) -> None:
    """Answers every request with what it is."""
    exchange.bound, exchange.take = Bound("the body", BODY_MAX_BYTES, "--flag"), tell


def tell(exchange: Exchange) -> None:
    head = exchange.head
    exchange.answer(200, {}, json.dumps([head.method, head.path, exchange.body.decode()]).encode())


class Caller:
    """The other end of a connection, on the same loop: what it sends has been looked at when `send` is back."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._loop = end, asyncio.get_running_loop()
        self.got = b""

    async def send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._end, data)
        except OSError:  # it is told why
            return
        await self.pause()

    async def pause(self) -> None:
        """Let the loop come round to all that is to be done."""
        for _ in range(4):
            await asyncio.sleep(0)

    async def rest(self) -> bytes:
        """All that comes until the end."""
        while part := await self._loop.sock_recv(self._end, 1 << 16):
            self.got += part
        return self.got

    def hang_up(self) -> None:
        self._end.shutdown(socket.SHUT_WR)


@asynccontextmanager
async def connected(begin: Callable[[Exchange], None] = echo) -> AsyncIterator[Caller]:
    loop, (near, far) = asyncio.get_running_loop(), socket.socketpair()
    limits = RestLimits(BODY_MAX_BYTES, BODY_MAX_BYTES, BODY_MAX_BYTES, 1)
    shared = Shared(loop, limits, begin, STATUS, Handover(loop), Bodies(BODY_MAX_BYTES))
    near.setblocking(False)
    with near:
        transport, _ = await loop.connect_accepted_socket(lambda: Connection(shared), far)
        yield Caller(near)
        transport.abort()
        await asyncio.sleep(0)


def answers(data: bytes) -> list[tuple[int, Any]]:
    """Statuses and bodies of the answers in what came."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None, data
        found.append((int(head.split()[1]), json.loads(rest[: int(length[1])])))
        data = rest[int(length[1]) :]
    return found


async def answered(data: bytes, *ends: int) -> list[tuple[int, Any]]:
    """The answers to bytes that arrive in these parts."""
    async with connected() as caller:
        for start, end in pairwise((0, *ends, len(data))):
            await caller.send(data[start:end])
        caller.hang_up()
        return answers(await caller.rest())


UPGRADE = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"
GOOD: dict[str, tuple[bytes, Requests]] = {
    "two requests": (GET + GET, [ANOTHER] * 2),
    "empty lines before a request": (b"\r\n\r\n" + GET, [ANOTHER]),
    "a body and a request": (POST + b"Content-Length: 3\r\n\r\nabc" + GET, [["POST", "/a", "abc"], ANOTHER]),
    "a body of nothing": (POST + b"Content-Length: 0\r\n\r\n" + GET, [["POST", "/a", ""], ANOTHER]),
    "chunks": (
        CHUNKED + b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n" + GET,
        [["POST", "/a", "abc0123456789"], ANOTHER],
    ),
    "chunks with extensions": (
        CHUNKED + b"1;a=b\r\nx\r\n1;c\r\ny\r\n0;d\r\n\r\n" + GET,
        [["POST", "/a", "xy"], ANOTHER],
    ),
    "trailers": (
        CHUNKED + b"1\r\nx\r\n0\r\nHost: other\r\nA: b\r\n\r\n" + GET,
        [["POST", "/a", "x"], ANOTHER],
    ),
    "a chunk that looks like the end": (CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", [["POST", "/a", "0\r\n\r\n"]]),
    "an offer of another protocol, and the end": (
        POST + UPGRADE + b"Content-Length: 2\r\n\r\nab" + GET,
        [["POST", "/a", "ab"]],
    ),
    "HTTP/1.0, without a host": (b"GET /b HTTP/1.0\r\n\r\n" + GET, [ANOTHER]),
    "a whole URL": (b"GET http://h/b?c=/d HTTP/1.1\r\nHost: h\r\n\r\n", [["GET", "/b", ""]]),
    "hosts": (
        b"".join(GET.replace(b": h", b": " + host) for host in (b"[::1]:80", b"a.b:1", b"", b"127.0.0.1")),
        [ANOTHER] * 4,
    ),
    "a value of bytes beyond ASCII": (GET[:-2] + b"A: \xff \t\r\n\r\n", [ANOTHER]),
}


@pytest.mark.parametrize("case", GOOD)
def test_requests_are_the_same_however_their_bytes_arrive(case: str) -> None:
    data, requests = GOOD[case]

    async def main() -> None:
        right = [(200, request) for request in requests]
        assert await answered(data) == right
        assert await answered(data, *range(1, len(data))) == right
        for end in range(1, len(data)):
            assert await answered(data, end) == right

    run(main)


def with_header(line: bytes, method: bytes = POST) -> bytes:
    return method + line + b"\r\n\r\n"


BAD: dict[str, tuple[bytes, int]] = {
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /b\r\n\r\n", 505),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "HTTP/1.2": (GET.replace(b"1.1", b"1.2"), 505),
    "a path without /": (GET.replace(b"/b", b"b"), 400),
    "half an address in a URL": (GET.replace(b"/b", b"http://[h/b"), 400),
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
    "chunks in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    **{
        f"Transfer-Encoding: {coding!r}": (with_header(b"Transfer-Encoding: " + coding), 501)
        for coding in (
            b"gzip, chunked",
            b"gzip",
            b"identity",
            b"xchunked",
        )
    },
    **{
        f"Transfer-Encoding: {coding!r}": (with_header(b"Transfer-Encoding: " + coding), 400)
        for coding in (b"chunked, chunked", b"chunked, identity", b"")
    },
    "two codings in two lines": (with_header(b"Transfer-Encoding: gzip\r\ntransfer-encoding: chunked"), 501),
    "a tab before the coding's end": (with_header(b"Transfer-Encoding: \x0bchunked"), 400),
    **{
        f"two of {name.decode()}": (with_header(name + b": 1\r\n" + name + b": 2"), 400)
        for name in (b"Authorization", b"Content-Type", b"Content-Encoding", b"Inference-Header-Content-Length")
    },
    **{
        f"a chunk of {size!r}": (CHUNKED + size + b"\r\nx\r\n0\r\n\r\n", 400)
        for size in (b"", b"zz", b"-1", b"+1", b"0x1", b"1 ", b" 1", b"1_0", b"1" * 17, b"1 ;c", b"1;a\nb", b"1;\0")
    },
    "a chunk that is longer than its size": (CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", 400),
    "a chunk with a bare LF": (CHUNKED + b"1\nx\n0\n\n", 400),
    "trailers of the framing": (CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n", 400),
    "a trailer without a colon": (CHUNKED + b"0\r\nno colon\r\n\r\n", 400),
    "a large head": (with_header(b"A: " + b"x" * HEAD_MAX_BYTES), 431),
    "a head without an end": (POST + b"A: " + b"x" * 2 * HEAD_MAX_BYTES, 431),
    "a large head of many headers": (with_header(b"\r\n".join([b"A: b"] * HEAD_MAX_BYTES)), 431),
    "a large target": (GET.replace(b"/b", b"/" + b"x" * HEAD_MAX_BYTES), 431),
    "empty lines without an end": (b"\r\n" * HEAD_MAX_BYTES, 431),
    "large trailers": (CHUNKED + b"0\r\nA: " + b"x" * 2 * HEAD_MAX_BYTES, 431),
    "a large extension of a chunk": (CHUNKED + b"1;" + b"x" * 2 * HEAD_MAX_BYTES, 431),
    "many extensions of chunks": (CHUNKED + (b"1;" + b"x" * 100 + b"\r\nx\r\n") * (2 * HEAD_MAX_BYTES // 100), 431),
}


@pytest.mark.parametrize("case", BAD)
def test_what_might_be_read_in_two_ways_is_refused_however_its_bytes_arrive(case: str) -> None:
    data, status = BAD[case]

    async def main() -> None:
        for ends in ((), range(1, len(data), max(7, len(data) // 100))):
            told = await answered(data + GET, *ends)
            assert [(found, list(facts)) for found, facts in told] == [(status, ["error"])]

    run(main)


class Held:
    """Takes requests and leaves them to the test."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        exchange.bound, exchange.take = Bound("the body", BODY_MAX_BYTES, "--flag"), self.exchanges.append


def test_what_comes_behind_a_request_that_has_no_answer_waits() -> None:
    async def main() -> None:
        async with connected(held := Held()) as caller:
            await caller.send(GET + GET.replace(b"/b", b"/c") + b"NONE\r\n\r\n")
            for target in ("/b", "/c"):
                (exchange,) = held.exchanges
                assert exchange.head.path == target
                held.exchanges.clear()
                tell(exchange)
                await caller.pause()
            told = answers(await caller.rest())
        assert told == [(200, ["GET", "/b", ""]), (200, ["GET", "/c", ""]), (400, {"error": told[-1][1]["error"]})]

    run(main)


def test_a_body_in_chunks_of_two_bytes_takes_little_more_memory_than_it_has() -> None:
    async def main() -> None:
        async with connected(held := Held()) as caller:
            await caller.send(CHUNKED + b"2\r\nab\r\n" * 10_000 + b"0\r\n\r\n")
            while not held.exchanges:
                await caller.pause()
            (exchange,) = held.exchanges
            assert sum(map(sys.getsizeof, exchange.parts)) < 2 * exchange.held_bytes
            assert exchange.body == b"ab" * 10_000

    run(main)


def test_more_than_fits_behind_an_unanswered_request_is_not_read() -> None:
    async def main() -> None:
        async with connected(held := Held()) as caller:
            sending = asyncio.ensure_future(caller.send(GET * 40_000))
            for _ in range(500):
                await caller.pause()
            assert not sending.done()
            assert len(held.exchanges) == 1
            sending.cancel()

    run(main)


def pieces(version: bytes, after: Callable[[Exchange], None]) -> bytes:
    """What a caller gets to whom two pieces are sent from another thread, and then what `after` says."""

    def send(exchange: Exchange) -> None:
        exchange.begin(200, {"content-type": "text/event-stream"})
        for piece in (b"one ", b"", b"two "):
            exchange.send(piece)
        after(exchange)

    async def main() -> bytes:
        async with connected(held := Held()) as caller:
            await caller.send(GET.replace(b"1.1", version))
            thread = threading.Thread(target=send, args=held.exchanges)
            thread.start()
            while thread.is_alive():
                await asyncio.sleep(0)
            await caller.pause()
            caller.hang_up()
            return await caller.rest()

    return run(main)


def test_an_answer_may_come_in_pieces() -> None:
    def end(exchange: Exchange) -> None:
        exchange.send(b"three", final=True)

    head, _, body = pieces(b"1.1", end).partition(b"\r\n\r\n")
    assert b"content-type: text/event-stream\r\ntransfer-encoding: chunked" in head
    assert body == b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n"


def test_pieces_for_a_caller_who_knows_none_end_with_the_connection() -> None:
    head, _, body = pieces(b"1.0", lambda exchange: exchange.send(b"", final=True)).partition(b"\r\n\r\n")
    assert (b"chunked" in head, b"connection: close" in head, body) == (False, True, b"one two ")


def test_an_answer_that_fails_between_its_pieces_has_no_end() -> None:
    _, _, body = pieces(b"1.1", lambda exchange: exchange.refuse(ValueError("too bad"))).partition(b"\r\n\r\n")
    assert body == b"4\r\none \r\n4\r\ntwo \r\n"


def test_who_leaves_many_pieces_unread_is_cut_off() -> None:
    async def main() -> None:
        async with connected(held := Held()) as caller:
            await caller.send(GET)
            (exchange,) = held.exchanges
            exchange.begin(200, {})
            for _ in range(2 * BODY_MAX_BYTES // 4096):
                exchange.send(bytes(4096))
            await caller.pause()
            assert (exchange.gone, exchange.over) == (True, True)

    run(main)


def test_a_head_is_all_that_who_asks_for_the_head_gets() -> None:
    async def main() -> None:
        async with connected() as caller:
            await caller.send(GET.replace(b"GET", b"HEAD"))
            caller.hang_up()
            head, _, body = (await caller.rest()).partition(b"\r\n\r\n")
            assert (b"content-length: 18" in head, body) == (True, b"")

    run(main)


def test_many_answers_of_other_threads_take_one_wake_up() -> None:
    woken, done = [], list[int]()

    class Loop:
        def call_soon_threadsafe(self, act: Callable[[], None]) -> None:
            woken.append(act)

    handover = Handover(Loop())  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: [handover.do(done.append, number) for number in range(5)])
    thread.start()
    thread.join()
    (work,) = woken
    work()
    assert done == list(range(5))
