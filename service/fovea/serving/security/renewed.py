"""What is read from files that are renewed while the server runs: certificates, tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from fovea.contract.errors import Misconfigured
from fovea.runtime.stamps import file_stamp

log = logging.getLogger(__name__)
T = TypeVar("T")
_LOOK_EVERY_S = 1.0


class Renewed(Generic[T]):
    """Read at once, and again after a change of the files: `now` looks for one at most once a second.

    Files that cannot be used, because they are at fault or half written, leave what was read before.
    `read` raises Misconfigured for such files; the first time, so does this.
    """

    def __init__(
        self, files: Sequence[Path], read: Callable[[], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = files
        self._read = read
        self._clock = clock
        self._seen = self._stamps()
        self._held = read()
        self._next_look_s = clock() + _LOOK_EVERY_S

    def now(self) -> T:
        """What is in use: the same object until the files have changed."""
        if self._clock() >= self._next_look_s:
            self._next_look_s = self._clock() + _LOOK_EVERY_S
            self._look()
        return self._held

    def _look(self) -> None:
        stamps = self._stamps()
        if stamps == self._seen:
            return
        try:
            read = self._read()
        except Misconfigured as error:
            log.warning("not renewed, what was read before stays in use: %s", error)
            self._seen = stamps
            return
        if self._stamps() == stamps:  # else they are being written: the next look will tell
            log.info("renewed: %s", ", ".join(map(str, self._files)))
            self._seen, self._held = stamps, read

    def _stamps(self) -> tuple[object, ...]:
        return tuple(map(file_stamp, self._files))
