"""Shared memory, traces and logs: their requests' messages to plain values, and what they answer to messages."""

from __future__ import annotations

from typing import Any

from fovea.serving.observability.log_settings import LogControl
from fovea.serving.observability.trace import Tracer
from fovea.serving.shared_memory.regions import Regions
from fovea.wire import message


def memory_status(regions: Regions, request: Any) -> Any:
    """SystemSharedMemoryStatusResponse: the region of a name, or all."""
    response = message("SystemSharedMemoryStatusResponse")()
    for name, region in regions.known(request.name).items():
        facts = {"name": name, "key": region.key, "offset": region.offset, "byte_size": region.byte_size}
        response.regions[name].MergeFrom(message("SystemSharedMemoryStatusResponse.RegionStatus")(**facts))
    return response


def register_memory(regions: Regions, request: Any) -> Any:
    """SystemSharedMemoryRegisterResponse."""
    regions.register(request.name, request.key, request.offset, request.byte_size)
    return message("SystemSharedMemoryRegisterResponse")()


def unregister_memory(regions: Regions, request: Any) -> Any:
    """SystemSharedMemoryUnregisterResponse: the region of a name is forgotten, or all are."""
    regions.unregister(request.name)
    return message("SystemSharedMemoryUnregisterResponse")()


def trace_settings(tracer: Tracer, request: Any) -> Any:
    """TraceSettingResponse: what the request names is changed, for its model or for all; it tells what holds."""
    asked = {name: list(setting.value) for name, setting in request.settings.items()}
    response = message("TraceSettingResponse")()
    for name, value in tracer.change(request.model_name, asked).items():
        response.settings[name].value.append(value)
    return response


_LOG_FIELDS = {bool: "bool_param", int: "uint32_param", str: "string_param"}


def log_settings(logs: LogControl, request: Any) -> Any:
    """LogSettingsResponse: what the request names is changed; it tells what holds."""
    asked = {name: _plain(setting) for name, setting in request.settings.items()}
    response = message("LogSettingsResponse")()
    for name, value in logs.change(asked).items():
        setattr(response.settings[name], _LOG_FIELDS[type(value)], value)
    return response


def _plain(setting: Any) -> Any:
    choice = setting.WhichOneof("parameter_choice")
    return None if choice is None else getattr(setting, choice)
