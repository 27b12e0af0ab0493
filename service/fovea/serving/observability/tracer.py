"""Which requests are traced: by the settings for all models or for one, and by what a caller asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from fovea.contract.errors import FoveaError, InvalidRequest
from fovea.serving.observability.access_log import AccessLog
from fovea.serving.observability.trace import Trace, TraceWriter, Wanted
from fovea.serving.observability.trace_file import TraceFile
from fovea.serving.observability.trace_origin import TraceOrigin
from fovea.serving.observability.trace_settings import OFF, TIMESTAMPS, UNLIMITED, TraceSettings, setting_value

_FILE = "trace_file"
_LONGEST = 256
"""Characters that are kept of a name or an id: who reads traces has no use for more, and it is a caller's choice."""


class _Sampler:
    """Picks requests by one model's settings, or by everybody's."""

    def __init__(self, settings: TraceSettings, parts: count[int]) -> None:
        self._settings, self._parts = settings, parts
        self._seen, self._traced = count(1), 0
        self._part = 0
        self._lock = threading.Lock()

    @property
    def settings(self) -> TraceSettings:
        """Those of this moment: `trace_count` counts down."""
        given = self._settings
        left = given.trace_count if given.trace_count == UNLIMITED else given.trace_count - self._traced
        return replace(given, trace_count=left)

    @property
    def active(self) -> bool:
        return self._settings.trace_level != OFF

    def part(self) -> int | None:
        """The file's part for the next request; None where that is not to be traced, WHOLE where it has no parts."""
        if not self.active or next(self._seen) % self._settings.trace_rate:
            return None
        with self._lock:
            if self._traced == self._settings.trace_count:
                return None
            every = self._settings.log_frequency
            if every and self._traced % every == 0:
                self._part = next(self._parts)
            self._traced += 1
            return self._part if every else TraceFile.WHOLE


class Tracer:
    """Everybody's settings and those of single models, and who picks by them. May be used by any thread."""

    def __init__(
        self,
        file: TraceFile | None = None,
        spans: TraceWriter | None = None,
        access: AccessLog | None = None,
        rate: int = 0,
    ) -> None:
        """`rate`: from the start one request out of so many is traced; 0: none is."""
        self._file, self._spans, self._access = file, spans, access
        self._writers = [writer for writer in (file, spans, access) if writer is not None]
        begin: dict[str, Any] = {"trace_level": TIMESTAMPS, "trace_rate": rate} if rate else {}
        self._own: dict[str, dict[str, Any]] = {"": begin}
        """Model, or "" for all -> what was set, by name."""
        self._parts = count()
        self._samplers = {"": _Sampler(TraceSettings(**begin), self._parts)}
        self._ids = count(1)
        self._lock = threading.Lock()
        self.active = self._is_active()
        """Whether anything is traced, or may be."""

    @property
    def can_write(self) -> bool:
        """Whether there is somewhere to write traces to."""
        return self._file is not None or self._spans is not None

    @property
    def wants_origins(self) -> bool:
        """Whether fronts are to say how a request came."""
        return self._spans is not None or self._access is not None

    def begin(
        self, model: str, version: str, request_id: str, arrived_s: float, origin: TraceOrigin | None
    ) -> Trace | None:
        """The trace of a request that enters the queue now; None where it is not to be traced."""
        said = None if origin is None or self._spans is None else origin.sampled
        asks = self._file is not None or said is None
        part = (self._samplers.get(model) or self._samplers[""]).part() if asks else None
        spans = self._spans is not None and (part is not None if said is None else said)
        if part is None and not spans and self._access is None:
            return None
        model, version, request_id = model[:_LONGEST], version[:_LONGEST], request_id[:_LONGEST]
        facts = {"id": next(self._ids), "model_name": model, "model_version": version, "request_id": request_id}
        return Trace(self._writers, Wanted(part if self._file else None, spans), facts, origin, arrived_s)

    def refused(
        self, asked: tuple[str, str, str], arrived_s: float, origin: TraceOrigin | None, why: FoveaError
    ) -> None:
        """A request for this model and version, with this id, never came to the queue."""
        trace = self.begin(*asked, arrived_s, origin)
        if trace is not None:
            trace.end(time.monotonic(), why)

    def change(self, model: str, asked: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Change settings, for a model or, for "", for all; what holds from now on. A setting without a value goes
        back to what it was.
        """
        with self._lock:
            if asked:
                self._set(model, {**self._own.get(model, {}), **self._checked(asked)})
            settings = (self._samplers.get(model) or self._samplers[""]).settings
        return {name: str(getattr(settings, name)) for name in TraceSettings.__dataclass_fields__} | {
            _FILE: self._file.path if self._file else ""
        }

    def _set(self, model: str, own: Mapping[str, Any]) -> None:
        """Put new samplers in the place of those that the change concerns; they count anew."""
        changed = {**self._own, model: {name: value for name, value in own.items() if value is not None}}
        everybodys = TraceSettings(**changed[""])
        for name in [model] if model else list(changed):
            self._samplers[name] = _Sampler(replace(everybodys, **changed[name]), self._parts)
            if name and not changed[name]:
                del changed[name], self._samplers[name]
        self._own = changed
        self.active = self._is_active()

    def _is_active(self) -> bool:
        return self.wants_origins or any(sampler.active for sampler in self._samplers.values())

    def _checked(self, settings: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What is set; None: back to what holds without it."""
        if _FILE in settings:
            raise InvalidRequest(f"{_FILE} cannot be changed over the network; it is set by --trace-file")
        checked = {name: setting_value(name, values) for name, values in settings.items()}
        if checked.get("trace_level", OFF) not in (OFF, None) and not self.can_write:
            raise InvalidRequest(
                "there is nowhere to write traces to; the server must be started with --trace-file or --trace-otlp"
            )
        return checked

    def close(self) -> None:
        """Write the traces that have ended."""
        for writer in self._writers:
            writer.close()
