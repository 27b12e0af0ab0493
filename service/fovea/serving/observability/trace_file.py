"""Where traces are written: on a thread of its own, so that a slow or full disk holds no request up."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import Full, Queue
from typing import Any

log = logging.getLogger(__name__)

_MOST_WAITING = 10_000
"""Traces, of some 500 bytes each; where the disk cannot follow, more are lost."""
_PATIENCE_S = 5.0


class TraceFile:
    """Appends traces to files, a line of JSON each. `write` may be called by any thread and never blocks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._parts = count()
        self._waiting: Queue[tuple[str, dict[str, Any]] | None] = Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failing = False

    def next_part(self) -> int:
        """A number that no file has had yet."""
        return next(self._parts)

    def write(self, path: str, facts: dict[str, Any]) -> None:
        """Append these facts to a file, soon."""
        self._start()
        try:
            self._waiting.put_nowait((path, facts))
        except Full:
            self._failed("traces are lost: the disk is too slow")

    def close(self) -> None:
        """Write what waits; where a file hangs, it is left after a while."""
        if self._thread is not None:
            with suppress(Full):
                self._waiting.put(None, timeout=_PATIENCE_S)
                self._thread.join(_PATIENCE_S)

    def _start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, daemon=True, name="trace")
                    self._thread.start()

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            path, facts = waiting
            try:
                with Path(path).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(facts, ensure_ascii=False) + "\n")
                self._failing = False
            except (OSError, ValueError) as error:
                self._failed(f"traces are lost: {error}")

    def _failed(self, why: str) -> None:
        """Said once until it works again."""
        if not self._failing:
            self._failing = True
            log.error("%s", why)
