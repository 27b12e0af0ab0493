"""Bodies in: bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from fovea.serving.fronts.rest.connection import is_whole
from fovea.serving.fronts.rest.limits import CLOSE, Bound, RestLimits


class BodyReader:
    """Reads bodies of so many bytes each, and so many in all at one time; used on the event loop only."""

    def __init__(self, limits: RestLimits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, bound: Bound) -> AsyncIterator[bytes]:
        """The body as it came, counted as held until the context ends; 413, 408 or 503 where it cannot be had."""
        chunks: list[bytes] = []
        try:
            await self._read_in_time(request, bound, chunks)
            yield b"".join(chunks)
        finally:
            self._held -= sum(map(len, chunks))

    async def _read_in_time(self, request: Request, bound: Bound, chunks: list[bytes]) -> None:
        if is_whole(request):
            await self._read(request, bound, chunks)  # without a timer, which costs as much as to parse the head
            return
        patience_s = self._limits.patience.body_s
        try:
            async with asyncio.timeout(patience_s):
                await self._read(request, bound, chunks)
        except TimeoutError as error:
            raise HTTPException(408, f"the body took longer than {patience_s:g} s", CLOSE) from error

    async def _read(self, request: Request, bound: Bound, chunks: list[bytes]) -> None:
        """What is too large is read on for a while: most callers look at an answer after they have sent all."""
        size, most, clock = 0, bound.bytes, asyncio.get_running_loop().time
        if "expect" in request.headers and int(request.headers.get("content-length", 0)) > most:
            raise bound.exceeded()
        until_s = None
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                self._hold(len(chunk))
                chunks.append(chunk)
            elif (until_s := until_s or clock() + self._limits.patience.linger_s) < clock():
                break
        if size > most:
            raise bound.exceeded()

    def _hold(self, size: int) -> None:
        most = self._limits.all_bodies_bytes
        if self._held + size > most:
            raise HTTPException(503, f"bodies of {most} bytes are held, which is the limit", CLOSE)
        self._held += size
