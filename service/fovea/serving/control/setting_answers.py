"""Shared memory, traces and logs: what is asked of them, and what they answer."""

from __future__ import annotations

from typing import Any

from fovea.serving.control.control_requests import AboutRegion, LogChange, NewRegion, TraceChange
from fovea.serving.observability.log_settings import LogControl
from fovea.serving.observability.tracer import Tracer
from fovea.serving.shared_memory.regions import Regions


def memory_status(regions: Regions, request: AboutRegion) -> dict[str, Any]:
    """The region of a name, or all."""
    known = regions.known(request.name).items()
    return {
        "regions": {
            name: {"name": name, "key": region.key, "offset": region.offset, "byte_size": region.byte_size}
            for name, region in known
        }
    }


def register_memory(regions: Regions, request: NewRegion) -> dict[str, Any]:
    """The region may be named by requests from now on."""
    regions.register(request.name, request.key, request.offset, request.byte_size)
    return {}


def unregister_memory(regions: Regions, request: AboutRegion) -> dict[str, Any]:
    """The region of a name is forgotten, or all are."""
    regions.unregister(request.name)
    return {}


def trace_settings(tracer: Tracer, request: TraceChange) -> dict[str, Any]:
    """What the request names is changed, for its model or for all; the answer is what holds, by name."""
    return {"settings": tracer.change(request.model_name, request.settings)}


def log_settings(logs: LogControl, request: LogChange) -> dict[str, Any]:
    """What the request names is changed; the answer is what holds, by name."""
    return {"settings": logs.change(request.settings)}
