"""Warnings and errors that come again and again: the first are written, the others counted.

A caller who can make the server log a line could make it log a million: that hides what else there is to read, and
fills the disk.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

PERIOD_S = 10.0
MOST_OF_A_TEXT = 5
MOST_OF_A_PLACE = 100
"""Most lines of one place in the code, whatever they say: a caller may choose the words."""
_LONGEST_TEXT = 200

Place = tuple[str, int]
"""A place in the code: file and line."""


@dataclass
class _LeftOut:
    """Lines of one place that were left out: how many, and the level and text of one of them."""

    level: int
    text: str
    lines: int = 0


class RepeatedLines(logging.Filter):
    """Leaves out what has been written often enough since the last `tell`. May be used by any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._written = Counter[Any]()
        self._left_out: dict[Place, _LeftOut] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno < logging.WARNING or record.name == __name__:
            return True
        with self._lock:
            return self._is_written((record.pathname, record.lineno), record)

    def _is_written(self, place: Place, record: logging.LogRecord) -> bool:
        text = _text_of(record)
        if self._written[place] < MOST_OF_A_PLACE and self._written[place, text] < MOST_OF_A_TEXT:
            self._written.update((place, (place, text)))
            return True
        if place not in self._left_out:
            self._left_out[place] = _LeftOut(record.levelno, text[:_LONGEST_TEXT])
        self._left_out[place].lines += 1
        return False

    def tell(self) -> None:
        """Write how many lines of each place were left out, and begin anew."""
        with self._lock:
            told, self._left_out = self._left_out, {}
            self._written.clear()
        for one in told.values():
            log.log(one.level, "%d more lines were left out, of the kind of: %s", one.lines, one.text)


def without_repetitions(handler: logging.Handler) -> None:
    """Have a handler leave repeated lines out, and tell how many every ten seconds and at the end."""
    repeated = RepeatedLines()
    handler.addFilter(repeated)
    atexit.register(repeated.tell)
    over = threading.Event()

    def tell_now_and_then() -> None:
        while not over.wait(PERIOD_S):
            repeated.tell()

    threading.Thread(target=tell_now_and_then, daemon=True, name="repeated lines").start()


def _text_of(record: logging.LogRecord) -> str:
    """What it says, and what was raised."""
    try:
        text = record.getMessage()
    except Exception:  # it has the wrong arguments, as whoever writes it will tell
        text = str(record.msg)
    raised = record.exc_info[1] if record.exc_info else None
    return text if raised is None else f"{text}: {type(raised).__name__}: {raised}"
