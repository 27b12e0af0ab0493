"""Traces of single requests: when each was where, as lines of JSON in the file that the setting `trace_file` names.

Which requests, the operator says while the server runs (TraceSetting), for all models or for one. Where nothing is
traced a request costs one look at a flag; nothing here can fail one, nor hold it up: a thread writes the lines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from fovea.contract.errors import InvalidRequest
from fovea.serving.observability.trace_file import TraceFile

OFF, TIMESTAMPS = "OFF", "TIMESTAMPS"
_LARGEST = 2**31 - 1
_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Which requests are traced, under the names of the protocol."""

    trace_level: str = OFF
    trace_rate: int = 1000
    """One request out of this many is traced."""
    trace_count: int = _UNLIMITED
    """How many more requests are traced."""
    log_frequency: int = 0
    """So many traces go into a file, whose name ends with its number; 0: all go into one."""


_LEAST = {"trace_rate": 1, "trace_count": _UNLIMITED, "log_frequency": 0}
_FILE = "trace_file"


class Trace:
    """One request on its way. Times are seconds of the monotonic clock."""

    __slots__ = ("_facts", "_file", "_path", "_stamps")

    def __init__(self, file: TraceFile, path: str, facts: dict[str, Any], arrived_s: float) -> None:
        self._file, self._path, self._facts = file, path, facts
        self._stamps = [("REQUEST_START", arrived_s), ("QUEUE_START", time.monotonic())]

    def ran(self, start_s: float, gathered_s: float, ran_s: float, end_s: float) -> None:
        """Its batch has run, and it is answered."""
        computed = (("COMPUTE_START", start_s), ("COMPUTE_INPUT_END", gathered_s), ("COMPUTE_OUTPUT_START", ran_s))
        self._stamps += (*computed, ("COMPUTE_END", end_s))
        self.end(end_s)

    def end(self, end_s: float) -> None:
        """It has got its answer, or an error."""
        stamps = [{"name": name, "ns": int(at_s * 1e9)} for name, at_s in (*self._stamps, ("REQUEST_END", end_s))]
        self._file.write(self._path, {**self._facts, "timestamps": stamps})


class _Sampler:
    """Picks requests by one model's settings, or by everybody's."""

    def __init__(self, settings: TraceSettings, file: TraceFile) -> None:
        self._settings, self._file = settings, file
        self._seen, self._traced = count(1), 0
        self._part = 0
        self._lock = threading.Lock()

    @property
    def settings(self) -> TraceSettings:
        """Those of this moment: `trace_count` counts down."""
        given = self._settings
        left = given.trace_count if given.trace_count == _UNLIMITED else given.trace_count - self._traced
        return replace(given, trace_count=left)

    @property
    def active(self) -> bool:
        return self._settings.trace_level != OFF

    def path(self) -> str | None:
        """The file of the next request's trace; None where it is not to be traced."""
        if not self.active or next(self._seen) % self._settings.trace_rate:
            return None
        with self._lock:
            if self._traced == self._settings.trace_count:
                return None
            every = self._settings.log_frequency
            if every and self._traced % every == 0:
                self._part = self._file.next_part()
            self._traced += 1
            return f"{self._file.path}.{self._part}" if every else self._file.path


class Tracer:
    """Everybody's settings and those of single models, and who picks by them. May be used by any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = TraceFile("" if path is None else str(path))
        self._own: dict[str, dict[str, Any]] = {"": {}}
        """Model, or "" for all -> what was set, by name."""
        self._samplers = {"": _Sampler(TraceSettings(), self._file)}
        self._ids = count(1)
        self._lock = threading.Lock()
        self.active = False
        """Whether anything is traced."""

    @property
    def can_write(self) -> bool:
        """Whether there is a file for traces."""
        return bool(self._file.path)

    def begin(self, model: str, version: str, request_id: str, arrived_s: float) -> Trace | None:
        """The trace of a request that enters the queue now; None where it is not to be traced."""
        path = (self._samplers.get(model) or self._samplers[""]).path()
        if path is None:
            return None
        facts = {"id": next(self._ids), "model_name": model, "model_version": version, "request_id": request_id}
        return Trace(self._file, path, facts, arrived_s)

    def change(self, model: str, asked: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Change settings, for a model or, for "", for all; what holds from now on. A setting without a value goes
        back to what it was.
        """
        with self._lock:
            if asked:
                self._set(model, {**self._own.get(model, {}), **self._checked(asked)})
            settings = (self._samplers.get(model) or self._samplers[""]).settings
        return {name: str(getattr(settings, name)) for name in TraceSettings.__dataclass_fields__} | {
            _FILE: self._file.path
        }

    def _set(self, model: str, own: Mapping[str, Any]) -> None:
        """Put new samplers in the place of those that the change concerns; they count anew."""
        changed = {**self._own, model: {name: value for name, value in own.items() if value is not None}}
        everybodys = TraceSettings(**changed[""])
        for name in [model] if model else list(changed):
            self._samplers[name] = _Sampler(replace(everybodys, **changed[name]), self._file)
            if name and not changed[name]:
                del changed[name], self._samplers[name]
        self._own = changed
        self.active = any(sampler.active for sampler in self._samplers.values())

    def _checked(self, settings: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What is set; None: back to what holds without it."""
        if _FILE in settings:
            raise InvalidRequest(f"{_FILE} cannot be changed over the network; it is set by --trace-file")
        checked = {name: _value(name, values) for name, values in settings.items()}
        if checked.get("trace_level", OFF) not in (OFF, None) and not self.can_write:
            raise InvalidRequest("there is nowhere to write traces to; the server must be started with --trace-file")
        return checked

    def close(self) -> None:
        """Write the traces that have ended, and end the thread."""
        self._file.close()


def _value(name: str, values: Sequence[str]) -> str | int | None:
    if name not in TraceSettings.__dataclass_fields__:
        raise InvalidRequest(f"unknown trace setting '{name}': expected {[*TraceSettings.__dataclass_fields__]}")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest(f"trace setting '{name}': expected one value, received {list(values)}")
    return _level(values[0]) if name == "trace_level" else _number(name, values[0])


def _level(value: str) -> str:
    if value not in (OFF, TIMESTAMPS):
        raise InvalidRequest(f"trace_level: expected {OFF} or {TIMESTAMPS}, received '{value}'")
    return value


def _number(name: str, value: str) -> int:
    least = _LEAST[name]
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and least <= int(value) <= _LARGEST):
        raise InvalidRequest(f"{name}: expected an integer of {least} to {_LARGEST}, received '{value}'")
    return int(value)
