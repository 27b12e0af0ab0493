"""Log lines on standard error: a JSON object each for programs, plain text for people."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Literal

from fovea.serving.observability.log_handler import LogHandler
from fovea.serving.observability.repeated_lines import without_repetitions

log = logging.getLogger(__name__)
_STANDARD_ERROR = 2

LogFormat = Literal["auto", "json", "text"]


def for_people(chosen: LogFormat, descriptor: int) -> bool:
    """Whether what is written there is text for people: as chosen, or (auto) where it is a terminal."""
    return os.isatty(descriptor) if chosen == "auto" else chosen == "text"


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger and text; the facts that come with it, and a traceback, where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= getattr(record, "facts", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Time (local), level where it is not info, and text; a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more where there is a traceback. Callers' texts cannot steer the terminal, nor begin a line."""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        traceback = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{time} {level}{_printable(record.getMessage())}{traceback}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def set_up_logs(level: str, chosen: LogFormat) -> None:
    """Send every log line to standard error, but those that only repeat others.

    Python's own warnings and the last words of threads among them: written by Python itself, they would wait for a
    reader that has stopped.
    """
    handler = LogHandler(_STANDARD_ERROR)
    handler.setFormatter(TextLines() if for_people(chosen, _STANDARD_ERROR) else JsonLines())
    without_repetitions(handler)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("PIL").setLevel(logging.WARNING)  # at debug it writes several lines for each part of a picture
    logging.getLogger("grpc._cython.cygrpc").addFilter(_tells_no_header)
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable


class PrintedLines(io.TextIOBase):
    """Stands in for standard output: what is printed becomes log lines."""

    def write(self, text: str) -> int:
        """A log line for each line that is not blank."""
        for line in text.splitlines():
            if line.strip():
                log.info("printed: %s", line)
        return len(text)


def _tells_no_header(record: logging.LogRecord) -> bool:
    """False of a line that tells a header's value because it is not UTF-8: it may be half a token."""
    return not str(record.msg).startswith("Invalid encoding on")


def _thread_ended(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None and not isinstance(end.exc_value, SystemExit):
        log.error("thread %s ended", end.thread.name if end.thread else "?", exc_info=end.exc_value)


def _unraisable(end: sys.UnraisableHookArgs) -> None:
    log.error("%s: %r", end.err_msg or "an exception that nobody can catch", end.object, exc_info=end.exc_value)
