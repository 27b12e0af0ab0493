"""How much may wait in a queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fovea.contract.errors import QueueFull

_MB = 1024 * 1024


class Load(Protocol):
    """How much waits."""

    @property
    def requests(self) -> int:
        """How many requests wait."""

    @property
    def bytes(self) -> int:
        """Bytes of input of all that wait."""


@dataclass(frozen=True)
class QueueLimit:
    """What may wait: so many requests, and so many bytes of input in all."""

    requests: int = 1024
    bytes: int = 1024 * _MB

    def admits(self, waiting: Load, size: int) -> bool:
        """Whether a request of so many bytes may wait too; one of any size may where nothing else waits."""
        fits = waiting.bytes + size <= self.bytes or not waiting.requests
        return fits and waiting.requests < self.requests

    def full(self, queue: str, waiting: Load) -> QueueFull:
        """The error for those that may not."""
        load = f"{waiting.requests} requests of {waiting.bytes / _MB:.1f} MB wait"
        return QueueFull(f"{queue} full: {load}, the limit is {self.requests} and {self.bytes // _MB} MB")
