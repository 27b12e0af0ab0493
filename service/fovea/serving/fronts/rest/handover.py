"""From any thread to the event loop: many things at one wake-up."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)


class Handover:
    """Has things done on a loop's thread, in the order in which they came. Made on that thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._due: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._called = False

    def do(self, act: Callable[..., None], *arguments: object) -> None:
        """At once on the loop's own thread, else soon. What comes before the loop gets round to it shares its call:
        to wake it costs more than what is done then.
        """
        if threading.get_ident() == self._thread:
            act(*arguments)
            return
        self._due.append((act, arguments))
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended, and the callers with it
                self._loop.call_soon_threadsafe(self._work)

    def later(self, act: Callable[..., None], *arguments: object) -> None:
        """On the loop's own thread: once it has read what has come on all connections.

        Reading lets other threads run. What is handed on one by one meanwhile is run one by one, and not as a batch.
        """
        self._due.append((act, arguments))
        if not self._called:
            self._called = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._called = False  # before it looks: what comes after its last look calls again
        due = self._due
        while due:
            act, arguments = due.popleft()
            try:
                act(*arguments)
            except Exception:
                log.exception("an answer could not be sent")
