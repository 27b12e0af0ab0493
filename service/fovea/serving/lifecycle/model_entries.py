"""A model's place in the table, and those of its versions: what state each is in, why, and who answers for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fovea.runtime.repository import ModelFolder
from fovea.serving.lifecycle.served_version import ServedVersion


class VersionState(StrEnum):
    """The protocol's states of a version."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class VersionEntry:
    """One version's place in the table. A ready one may have a reason too: why its newer files are not served."""

    state: VersionState
    reason: str = ""
    served: ServedVersion | None = None
    source: Any = None
    """What was loaded, or could not be: equal where loading it again would change nothing."""
    unsupported: bool = False
    """It wants what this server does not offer: no wait will make it ready."""
    passing: bool = False
    """Whether the reason may be gone later: then loading it again may help after all."""

    @property
    def told(self) -> str:
        """The reason, or what there is to say of a version that serves."""
        return self.reason or (self.served.remark if self.served else "")


@dataclass(frozen=True)
class ModelEntry:
    """One model: its folder and its versions."""

    folder: ModelFolder
    versions: Mapping[str, VersionEntry]

    @property
    def default(self) -> str | None:
        """The version that a request without one gets: the highest that is ready, else the highest."""
        return max(self.ready or self.versions, key=int, default=None)

    @property
    def ready(self) -> list[str]:
        """The versions that answer, ascending."""
        return sorted((version for version, held in self.versions.items() if held.served), key=int)

    @property
    def failing(self) -> list[str]:
        """The versions that could not be loaded for a reason that may pass."""
        return [version for version, held in self.versions.items() if held.passing]
