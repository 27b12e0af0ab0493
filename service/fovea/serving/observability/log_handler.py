"""Log lines on their way out: who reads them too slowly, or not at all, loses lines and holds up nobody."""

from __future__ import annotations

import logging
import os
import select

_PATIENCE_MS = 100
"""For a reader that is slow. One for whom this was in vain is not waited for again until it reads."""


class LogHandler(logging.Handler):
    """Writes lines to a file descriptor; those that cannot be written are counted, and that is told later."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._stuck = False
        self._lost = 0
        self.lost_total = 0
        """Lines lost since the start, those that were told of among them."""
        self._in_a_line = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or lose it; first, how many were lost before it."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        if self._lost and self._written(self.format(_loss(self._lost))):
            self._lost = 0
        if self._lost or not self._written(line):
            self._lost += 1
            self.lost_total += 1

    def _written(self, line: str) -> bool:
        begin = "\n" if self._in_a_line else ""
        data = f"{begin}{line}\n".encode(errors="backslashreplace")
        while data:
            if not self._has_room():
                return False
            try:
                written = os.write(self._descriptor, data[: select.PIPE_BUF])  # for so much, room means no waiting
            except OSError:  # a full disk, a reader that is gone
                return False
            self._in_a_line, data = written < len(data), data[written:]
        return True

    def _has_room(self) -> bool:
        self._stuck = not self._poll.poll(0 if self._stuck else _PATIENCE_MS)
        return not self._stuck


def lines_lost() -> int:
    """Lines that the process's log has lost since its start."""
    return sum(one.lost_total for one in logging.getLogger().handlers if isinstance(one, LogHandler))


def count_lost_line() -> None:
    """A line was lost before it came to a handler."""
    for one in logging.getLogger().handlers:
        if isinstance(one, LogHandler):
            one.lost_total += 1
            return


def _loss(lines: int) -> logging.LogRecord:
    text = "log lines that could not be written in time, or at all: %d"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)
