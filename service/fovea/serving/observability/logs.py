"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from fovea.serving.observability.log_handler import LogHandler
from fovea.serving.observability.repeated_lines import without_repetitions

_STANDARD_ERROR = 2


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


def set_up_logs(level: str) -> None:
    """Send every log line to standard error, but those that only repeat others."""
    handler = LogHandler(_STANDARD_ERROR)
    handler.setFormatter(JsonLines())
    without_repetitions(handler)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
