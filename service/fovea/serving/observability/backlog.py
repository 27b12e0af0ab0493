"""Work for a thread of its own, so that a slow or full disk, or a collector that is away, holds no request up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Full, Queue
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

_MOST_WAITING = 10_000
"""Where the work cannot follow, more is lost."""
_PATIENCE_S = 5.0


def _nothing() -> None:
    pass


class Backlog(Generic[T]):
    """What waits for `work`. What is lost, and why, is said once until it works again."""

    def __init__(self, work: Callable[[T], None], lost: str, name: str, on_loss: Callable[[], None] = _nothing) -> None:
        self._work, self._lost, self._name, self._on_loss = work, lost, name, on_loss
        self._waiting: Queue[T | None] = Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failing = False

    def put(self, item: T) -> None:
        """Work on this soon; never blocks, any thread may call it."""
        self._start()
        try:
            self._waiting.put_nowait(item)
        except Full:
            self._on_loss()
            self._failed("it takes too long")

    def close(self) -> None:
        """Work on what waits; where that hangs, it is left after a while."""
        if self._thread is not None:
            with suppress(Full):
                self._waiting.put(None, timeout=_PATIENCE_S)
                self._thread.join(_PATIENCE_S)

    def _start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, daemon=True, name=self._name)
                    self._thread.start()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._work(item)
                self._failing = False
            except (OSError, ValueError) as error:
                self._failed(str(error))
            except Exception:
                log.exception("%s are lost", self._lost)

    def _failed(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            log.error("%s are lost: %s", self._lost, why)
