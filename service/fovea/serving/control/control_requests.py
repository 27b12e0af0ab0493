"""What each RPC that is no inference is asked, whatever front brought it: fields as the protocol names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class AboutServer:
    """There is one server: nothing to choose."""


@dataclass(frozen=True)
class AboutModel:
    """A version of a model; without a version the one that answers, or all."""

    name: str = ""
    version: str = ""


@dataclass(frozen=True)
class AboutRepository:
    """All its models, or those that are ready."""

    repository_name: str = ""
    ready: bool = False


@dataclass(frozen=True)
class ModelChange:
    """A model to load or to unload."""

    repository_name: str = ""
    model_name: str = ""
    parameters: Mapping[str, bool | int | str | bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class AboutRegion:
    """A region of shared memory; without a name all."""

    name: str = ""


@dataclass(frozen=True)
class NewRegion(AboutRegion):
    """A region of shared memory to register."""

    key: str = ""
    offset: int = 0
    byte_size: int = 0


@dataclass(frozen=True)
class TraceChange:
    """Trace settings to change, for a model or, without a name, for all; one without values goes back."""

    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    model_name: str = ""


@dataclass(frozen=True)
class LogChange:
    """Log settings to change."""

    settings: Mapping[str, bool | int | str | None] = field(default_factory=dict)


REQUESTS: Mapping[str, type] = MappingProxyType(
    {
        "ServerLive": AboutServer,
        "ServerReady": AboutServer,
        "ServerMetadata": AboutServer,
        "ModelReady": AboutModel,
        "ModelMetadata": AboutModel,
        "ModelConfig": AboutModel,
        "ModelStatistics": AboutModel,
        "RepositoryIndex": AboutRepository,
        "RepositoryModelLoad": ModelChange,
        "RepositoryModelUnload": ModelChange,
        "SystemSharedMemoryStatus": AboutRegion,
        "SystemSharedMemoryRegister": NewRegion,
        "SystemSharedMemoryUnregister": AboutRegion,
        "CudaSharedMemoryStatus": AboutRegion,
        "CudaSharedMemoryRegister": AboutRegion,
        "CudaSharedMemoryUnregister": AboutRegion,
        "TraceSetting": TraceChange,
        "LogSettings": LogChange,
    }
)
"""RPC -> what it is asked."""
