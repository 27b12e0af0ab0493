"""The thread that keeps models up with their files: it looks and tries again, from time to time or when it is asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from fovea.contract.errors import Misconfigured

log = logging.getLogger(__name__)


class Upkeep:
    """`look` follows what has changed; `retry` tries again what failed and is due by now, or with None all of it."""

    def __init__(
        self, look: Callable[[], object], retry: Callable[[float | None], object], period_s: float, *, looks: bool
    ) -> None:
        self._look, self._retry, self._period_s, self._looks = look, retry, period_s, looks
        self._woken, self._stopped = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begin the looks, which go on until `stop`."""
        threading.Thread(target=self._run, daemon=True, name="model-upkeep").start()

    def wake(self) -> None:
        """Look now, and try again what has failed."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no further look; one that is under way ends."""
        self._stopped.set()
        self._woken.set()

    def _run(self) -> None:
        while True:
            asked = self._woken.wait(self._period_s)
            self._woken.clear()
            if self._stopped.is_set():
                return
            try:
                self._once(asked)
            except Misconfigured as error:
                log.error("the models stay as they are: %s", error)
            except Exception:
                log.exception("a look at the repository failed")

    def _once(self, asked: bool) -> None:
        if asked:
            self._look()  # what has changed is followed once two looks see the same
        if asked or self._looks:
            self._look()
        self._retry(None if asked else time.monotonic())
