"""Bodies in and out: bounded in size and time, unpacked and packed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from fovea.serving.rest.connection import Patience

CLOSE = {"Connection": "close"}
"""What is left of a body that is not read would be taken for the next request."""
_PACKED_MIN_BYTES = 1024
_LEVEL = 1
"""Zlib's fastest: packing must not cost more than the network it spares."""
_ANY_FORMAT = zlib.MAX_WBITS | 32


class BodyReader:
    """Reads bodies of so many bytes each, and so many in all at one time; used on the event loop only."""

    def __init__(self, most_bytes: int, most_bytes_in_all: int, patience: Patience) -> None:
        self.most_bytes, self._most_in_all, self._patience = most_bytes, most_bytes_in_all, patience
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it came, counted as held until the context ends; 413, 408 or 503 where it cannot be had."""
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._patience.body_s):
                await self._read(request, chunks)
            yield b"".join(chunks)
        except TimeoutError as error:
            raise HTTPException(408, f"the body took longer than {self._patience.body_s:g} s", CLOSE) from error
        finally:
            self._held -= sum(map(len, chunks))

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        """What is too large is read on for a while: most callers look at an answer after they have sent all."""
        size, most, clock = 0, self.most_bytes, asyncio.get_running_loop().time
        if "expect" in request.headers and int(request.headers.get("content-length", 0)) > most:
            raise too_large(most)
        until_s = None
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                self._hold(len(chunk))
                chunks.append(chunk)
            elif (until_s := until_s or clock() + self._patience.linger_s) < clock():
                break
        if size > most:
            raise too_large(most)

    def _hold(self, size: int) -> None:
        if self._held + size > self._most_in_all:
            raise HTTPException(503, f"bodies of {self._most_in_all} bytes are held, which is the limit", CLOSE)
        self._held += size


def too_large(most_bytes: int) -> HTTPException:
    """413."""
    return HTTPException(413, f"the body is larger than {most_bytes} bytes", CLOSE)


def unpacked(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """The body without its Content-Encoding."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise HTTPException(415, f"Content-Encoding must be gzip or deflate, received '{encoding}'")
    unpacker = zlib.decompressobj(_ANY_FORMAT)
    try:
        data = unpacker.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise HTTPException(400, f"the body is no {encoding}: {error}") from error
    if len(data) > most_bytes:
        raise too_large(most_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise HTTPException(400, f"the body is no {encoding}: it is cut short, or goes on behind its end")
    return data


def packing(accepted: str) -> str:
    """What an Accept-Encoding header makes of an answer: gzip, deflate or ""."""
    offers = {
        name.strip(): "".join(quality.split()) for name, _, quality in (o.partition(";") for o in accepted.split(","))
    }
    wanted = [name for name in ("gzip", "deflate") if offers.get(name, "q=0") not in ("q=0", "q=0.0")]
    return wanted[0] if wanted else ""


def packed(data: bytes, encoding: str) -> bytes:
    """The data packed."""
    return gzip.compress(data, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(data, _LEVEL)


def is_worth_packing(data: bytes) -> bool:
    """Small answers fit into one packet as they are."""
    return len(data) >= _PACKED_MIN_BYTES
