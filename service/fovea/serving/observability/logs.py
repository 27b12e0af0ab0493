"""Log lines on standard error: a JSON object each for programs, plain text for people."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Literal

from fovea.serving.observability.log_handler import LogHandler
from fovea.serving.observability.repeated_lines import without_repetitions

_STANDARD_ERROR = 2

LogFormat = Literal["auto", "json", "text"]


def for_people(chosen: LogFormat, descriptor: int) -> bool:
    """Whether what is written there is text for people: as chosen, or (auto) where it is a terminal."""
    return os.isatty(descriptor) if chosen == "auto" else chosen == "text"


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger and text; a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
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
    """Send every log line to standard error, but those that only repeat others."""
    handler = LogHandler(_STANDARD_ERROR)
    handler.setFormatter(TextLines() if for_people(chosen, _STANDARD_ERROR) else JsonLines())
    without_repetitions(handler)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
