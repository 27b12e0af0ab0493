"""What the server offers beyond inference, as far as its settings open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fovea.contract.errors import NotFound, Unsupported
from fovea.serving.control.control_requests import AboutRegion
from fovea.serving.control.setting_answers import log_settings, memory_status, register_memory, unregister_memory
from fovea.serving.observability.log_settings import LogControl
from fovea.serving.observability.tracer import Tracer
from fovea.serving.security.access import Group
from fovea.serving.shared_memory.regions import Regions

Answer = Callable[[Any], dict[str, Any]]
"""From a request (control_requests.py) to the fields of its answer, as the protocol names them; raises what it
refuses.
"""

_ALWAYS = (
    *("classification", "schedule_policy", "model_configuration"),
    *("binary_tensor_data", "parameters", "statistics"),
)
_OF_GROUP: dict[Group, tuple[str, ...]] = {
    "model_control": ("model_repository", "model_repository(unload_dependents)"),
    "shared_memory": ("system_shared_memory",),
    "trace": ("trace",),
    "logging": ("logging",),
}


@dataclass(frozen=True)
class Extensions:
    """The extensions, and the RPCs that belong to them alone."""

    server_name: str
    open_rpcs: frozenset[Group]
    explicit: bool
    """Models are loaded and unloaded on request."""
    regions: Regions
    tracer: Tracer
    logs: LogControl

    def names(self) -> list[str]:
        """As ServerMetadata lists them: exactly those that work with these settings."""
        working = {group: group in self.open_rpcs for group in _OF_GROUP}
        working["model_control"] &= self.explicit
        working["trace"] &= self.tracer.can_write
        return [*_ALWAYS, *(name for group, names in _OF_GROUP.items() if working[group] for name in names)]

    def answers(self) -> dict[str, Answer]:
        """RPC -> the function that answers it."""
        return {
            "SystemSharedMemoryStatus": partial(memory_status, self.regions),
            "SystemSharedMemoryRegister": partial(register_memory, self.regions),
            "SystemSharedMemoryUnregister": partial(unregister_memory, self.regions),
            "LogSettings": partial(log_settings, self.logs),
            "CudaSharedMemoryStatus": _cuda_status,
            "CudaSharedMemoryRegister": _no_cuda,
            "CudaSharedMemoryUnregister": _unregister_cuda,
        }


def _cuda_status(request: AboutRegion) -> dict[str, Any]:
    """There is never a region: that is what clients hear that ask for all of them."""
    if request.name:
        raise NotFound(f"unknown CUDA shared memory region '{request.name}'")
    return {"regions": {}}


def _unregister_cuda(_request: AboutRegion) -> dict[str, Any]:
    """As with system shared memory, what is unknown is forgotten already."""
    return {}


def _no_cuda(_request: AboutRegion) -> dict[str, Any]:
    raise Unsupported("this server takes no CUDA shared memory; system shared memory can be opened")
