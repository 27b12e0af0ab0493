"""One HTTP request in the servicer's hands: answered by any thread, awaited by the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc
from starlette.requests import Request

from fovea.contract.errors import Cancelled
from fovea.serving.status import status_of


class Refused(Exception):
    """The servicer's refusal, or the front's own: a status of the table, and the text for the caller."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class RestCall:
    """A servicer's call. Made on the event loop's thread; `finish` and `refuse` may be called from any."""

    deadline_s: float | None = None
    """HTTP has none; the request's own `timeout` parameter counts."""

    def __init__(self, request: Request) -> None:
        """The request's body is to be read before `watch`."""
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._look_out: asyncio.Task[None] | None = None
        self.answer: asyncio.Future[bytes] = self._loop.create_future()
        """The serialized answer, or Refused."""
        self.gone = self._watched = False
        self.over = False
        """True once the caller has its answer, or is gone."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on."""
        if not self._watched:
            self._watched = True
            self._soon(self._begin_to_watch)

    def end(self) -> None:
        """The call is over."""
        self.over = self.gone = True  # at the server's end, what was refused may still wait or run, for nobody
        if self._look_out is not None:
            self._look_out.cancel()

    def _begin_to_watch(self) -> None:
        if not self.over:
            self._look_out = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._set(Refused(*status_of(Cancelled("the caller is gone"))))

    def finish(self, body: bytes) -> None:
        """Hand over the serialized answer."""
        self._soon(self._set, body)

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Hand over an error."""
        self._soon(self._set, Refused(code, text))

    def _soon(self, act: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the caller with it
            self._loop.call_soon_threadsafe(act, *arguments)

    def _set(self, result: bytes | Refused) -> None:
        if self.over or self.answer.done():
            return
        if isinstance(result, Refused):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)
