"""One HTTP request in the servicer's hands: answered by any thread, awaited by the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc


class Refused(Exception):
    """The servicer's refusal, or the front's own: a status of the table, and the text for the caller."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class RestCall:
    """A servicer's call. Made on the event loop's thread; `finish` and `refuse` may be called from any."""

    deadline_s: float | None = None
    """HTTP has none; the request's own `timeout` parameter counts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[bytes] = self._loop.create_future()
        """The serialized answer, or Refused."""
        self.gone = self.watched = False
        self._on_gone: Callable[[], None] = lambda: None
        self.over = False
        """True once the caller has its answer, or is gone."""

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Ask to be told when the caller leaves, by `gone` and by a call."""
        self.watched, self._on_gone = True, on_gone

    def leave(self) -> None:
        """The caller has left without an answer."""
        self.gone = True
        self.answer.cancel()
        self._on_gone()

    def finish(self, body: bytes) -> None:
        """Hand over the serialized answer."""
        self._settle(body)

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """Hand over an error."""
        self._settle(Refused(code, text))

    def _settle(self, result: bytes | Refused) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the caller with it
            self._loop.call_soon_threadsafe(self._set, result)

    def _set(self, result: bytes | Refused) -> None:
        if self.answer.done():
            return
        if isinstance(result, Refused):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)
