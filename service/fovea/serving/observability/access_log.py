"""The access log: one line for every request to a model, when it has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.observability.backlog import Backlog
from fovea.serving.observability.log_handler import count_lost_line
from fovea.serving.observability.trace import TracedRequest

log = logging.getLogger(__name__)
_IN_TEXT = frozenset({"model", "version", "outcome", "duration_ms"})
_LONGEST = 1024
"""Characters that are kept of an error's text, which may quote what a caller sent."""


class AccessLog:
    """Writes a line of the log for each request, on a thread of its own; a `TraceWriter`."""

    def __init__(self) -> None:
        self._backlog: Backlog[TracedRequest] = Backlog(
            _write, "lines of the access log", "access log", count_lost_line
        )

    def write(self, requests: Sequence[TracedRequest], _batch: RanBatch | None) -> None:
        """A line each, soon: model, how it ended, milliseconds, call and id; in JSON as fields as well."""
        for request in requests:
            self._backlog.put(request)

    def close(self) -> None:
        """Write what waits."""
        self._backlog.close()


def _write(request: TracedRequest) -> None:
    facts = _facts(request)
    text = "{model} version {version}: {outcome} after {duration_ms} ms".format(**facts)
    more = " ".join(f"{name}={facts[name]}" for name in facts if name not in _IN_TEXT and facts[name] != "")
    log.info("%s %s", text, more, extra={"facts": facts})


def _facts(request: TracedRequest) -> dict[str, object]:
    asked, origin = request.facts, request.origin
    begun_s, ended_s = request.stamps[0][1], request.stamps[-1][1]
    facts = {
        "model": asked["model_name"],
        "version": asked["model_version"],
        "request_id": asked["request_id"],
        "outcome": request.outcome,
        "duration_ms": round((ended_s - begun_s) * 1e3, 3),
    }
    if origin is not None:
        facts |= {"call": origin.name, **request.status()}
        facts |= {} if origin.sampled is None else {"traceparent": origin.parent}
    if request.error is not None:
        facts["error"] = str(request.error)[:_LONGEST]
    return facts
