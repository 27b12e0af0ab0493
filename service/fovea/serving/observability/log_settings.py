"""Which log lines are written: the operator may change it while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.plain_words import WORDS, word

_LEVEL_OF = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
"""Setting of the protocol -> the lines that it lets through; those above ERROR count as ERROR."""
_VERBOSE, _FORMAT, _FILE = "log_verbose_level", "log_format", "log_file"
_ISO8601 = "ISO8601"
_FORMATS = ("default", _ISO8601)
"""Triton's two, which differ in how a time is written; here all lines are JSON, with times of ISO 8601."""
_NONE = logging.CRITICAL + 1
_TYPE_OF: Mapping[str, type] = {**dict.fromkeys(_LEVEL_OF, bool), _VERBOSE: int, _FORMAT: str, _FILE: str}
"""Setting -> the type of its value."""


class LogControl(logging.Filter):
    """The log's settings, read and changed over the network (LogSettings); filters what the root's handlers write."""

    def __init__(self) -> None:
        super().__init__()
        root = logging.getLogger()
        self._verbose = int(root.level <= logging.DEBUG)
        self._lets_through = {name: root.level <= level for name, level in _LEVEL_OF.items()}
        for handler in root.handlers:
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno < logging.INFO:
            return self._verbose > 0
        return self._lets_through[_name_of(record.levelno)]

    def change(self, settings: Mapping[str, Any]) -> dict[str, bool | int | str]:
        """Change all of these, or (with an error) none; what holds from now on."""
        for name, value in settings.items():
            _check(name, value)
        self._verbose = settings.get(_VERBOSE, self._verbose)
        self._lets_through |= {name: value for name, value in settings.items() if name in _LEVEL_OF}
        logging.getLogger().setLevel(self._least_level())
        return {**self._lets_through, _VERBOSE: self._verbose, _FORMAT: _ISO8601, _FILE: ""}

    def _least_level(self) -> int:
        """What need not be filtered is not even made into a line."""
        if self._verbose:
            return logging.DEBUG
        return min((_LEVEL_OF[name] for name, lets in self._lets_through.items() if lets), default=_NONE)


def _name_of(level: int) -> str:
    return next((name for name, least in reversed(_LEVEL_OF.items()) if level >= least), "log_info")


def _check(name: str, value: Any) -> None:
    expected = _TYPE_OF.get(name)
    if expected is None:
        raise InvalidRequest(f"unknown log setting '{name}': expected {[*_TYPE_OF]}")
    if type(value) is not expected:
        raise InvalidRequest(f"log setting '{name}': expected {WORDS[expected]}, received {word(value)}")
    if name == _FILE and value:
        raise InvalidRequest("log_file cannot be changed over the network; lines go to standard error")
    if name == _FORMAT and value not in _FORMATS:
        raise InvalidRequest(f"log_format: expected one of {[*_FORMATS]}, received '{value}'")
