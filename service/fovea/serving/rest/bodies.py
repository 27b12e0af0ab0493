"""Bodies in and out: bounded in size and time, unpacked and packed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from fovea.serving.rest.limits import RestLimits

CLOSE = {"Connection": "close"}
"""What is left of a body that is not read would be taken for the next request."""
_PACKED_MIN_BYTES = 1024
_LEVEL = 1
"""Zlib's fastest: packing must not cost more than the network it spares."""
_ANY_FORMAT = zlib.MAX_WBITS | 32


class BodyReader:
    """Reads bodies of so many bytes each, and so many in all at one time; used on the event loop only."""

    def __init__(self, limits: RestLimits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it came, counted as held until the context ends; 413, 408 or 503 where it cannot be had."""
        chunks: list[bytes] = []
        try:
            await self._read_in_time(request, chunks)
            yield b"".join(chunks)
        finally:
            self._held -= sum(map(len, chunks))

    async def _read_in_time(self, request: Request, chunks: list[bytes]) -> None:
        patience_s = self._limits.patience.body_s
        try:
            async with asyncio.timeout(patience_s):
                await self._read(request, chunks)
        except TimeoutError as error:
            raise HTTPException(408, f"the body took longer than {patience_s:g} s", CLOSE) from error

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        """What is too large is read on for a while: most callers look at an answer after they have sent all."""
        size, most, clock = 0, self._limits.body_bytes, asyncio.get_running_loop().time
        if "expect" in request.headers and int(request.headers.get("content-length", 0)) > most:
            raise too_large(most)
        until_s = None
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                self._hold(len(chunk))
                chunks.append(chunk)
            elif (until_s := until_s or clock() + self._limits.patience.linger_s) < clock():
                break
        if size > most:
            raise too_large(most)

    def _hold(self, size: int) -> None:
        most = self._limits.all_bodies_bytes
        if self._held + size > most:
            raise HTTPException(503, f"bodies of {most} bytes are held, which is the limit", CLOSE)
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
    offers = dict(_offer(offer) for offer in accepted.split(","))
    return next((name for name in ("gzip", "deflate") if offers.get(name)), "")


def _offer(offer: str) -> tuple[str, bool]:
    """A name, and whether it is wanted: `gzip;q=0` says that it is not."""
    name, _, quality = offer.partition(";")
    return name.strip().lower(), quality.strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")


def packed(data: bytes, encoding: str) -> bytes:
    """The data packed."""
    return gzip.compress(data, _LEVEL, mtime=0) if encoding == "gzip" else zlib.compress(data, _LEVEL)


def is_worth_packing(data: bytes) -> bool:
    """Small answers fit into one packet as they are."""
    return len(data) >= _PACKED_MIN_BYTES
