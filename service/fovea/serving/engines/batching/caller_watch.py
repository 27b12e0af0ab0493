"""Looks around every 20 ms while there is something to look at, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)
_EVERY_S = 0.02
_PAUSES_PER_LOOK = 20
"""A look that takes long is followed by a pause so many times as long: looking never takes more of a core."""


class CallerWatch:
    """Calls `look` from `wake` on until it says that there is nothing more; it may come again at any time."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self.asleep = True
        """Whether nothing is being watched, so that `wake` must be called for the next look."""
        self._look = look
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="lookout")
        self._thread.start()

    def wake(self) -> None:
        """There is something to look at: the first look is in 20 ms."""
        self.asleep = False
        self._bell.put(None)

    def close(self) -> None:
        """End the thread; returns once its last look is over."""
        self._end.set()
        self._bell.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            self._bell.get()
            pause_s = _EVERY_S
            while not self._end.wait(pause_s):
                begun_s = time.monotonic()
                if not self._sees():
                    self.asleep = True
                    if not self._sees():  # what comes after this look finds it asleep
                        break
                    self.asleep = False
                pause_s = max(_EVERY_S, _PAUSES_PER_LOOK * (time.monotonic() - begun_s))

    def _sees(self) -> bool:
        try:
            return self._look()
        except Exception:
            log.exception("a look at what waits failed")
            return True
