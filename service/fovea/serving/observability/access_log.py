"""The access log: one line for every request to a model, when it has ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.observability.trace import TracedRequest

log = logging.getLogger(__name__)


class AccessLog:
    """Writes a line of the log for each request; a `TraceWriter`."""

    def write(self, requests: Sequence[TracedRequest], _batch: RanBatch | None) -> None:
        """A line each: model, how it ended, milliseconds; in JSON as fields as well."""
        for request in requests:
            facts = _facts(request)
            text = "{model} version {version}: {outcome} after {duration_ms} ms".format(**facts)
            log.info("%s", text, extra={"facts": facts})

    def close(self) -> None:
        """Nothing: lines are written as they come."""


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
        facts |= {"call": origin.name, **origin.status(request.error)}
        facts |= {"traceparent": origin.parent} if origin.parent else {}
    if request.error is not None:
        facts["error"] = str(request.error)
    return facts
