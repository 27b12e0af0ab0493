"""The reply to one HTTP request: answered by any thread, awaited by the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.requests import Request

from fovea.contract.errors import Cancelled, FoveaError
from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.requests.answer import Answer


class RestReply:
    """Takes one event, see `fovea.serving.engines.reply`. Made on the event loop's thread; any thread may `send`."""

    def __init__(self, request: Request) -> None:
        """The request's body is to be read before `watch`."""
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._look_out: asyncio.Task[None] | None = None
        self.answer: asyncio.Future[Any] = self._loop.create_future()
        """What was sent; an error is raised."""
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
        self._set(Cancelled("the caller is gone"))

    def send(self, event: Any, final: bool = True) -> None:
        """Hand over an answer, or an error."""
        assert final, "a request over HTTP has one answer"
        self._soon(self._set, event)

    def _soon(self, act: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the caller with it
            self._loop.call_soon_threadsafe(act, *arguments)

    def _set(self, result: Any) -> None:
        if self.over or self.answer.done():
            return
        if isinstance(result, FoveaError):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class InferReply(RestReply):
    """Takes an answer that can be written in the style that its request asks for."""

    style: AnswerStyle
    """Set once the request has been read."""

    def send(self, event: Answer | FoveaError, final: bool = True) -> None:
        """Hand over an answer, or an error; InvalidRequest for an answer that cannot be written."""
        if isinstance(event, Answer):
            self.style.check(event)
            event.arrays = [array.copy() for array in event.arrays]  # the event loop writes them, later
        super().send(event, final)
