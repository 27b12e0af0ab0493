"""What every engine offers: the rest of the server admits requests, watches and closes through this alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fovea.serving.engines.queued_request import QueuedRequest


class Cost(Protocol):
    """What runs cost on this device, as warm-up measured it."""

    def points_in_words(self) -> Iterator[tuple[str, int, float]]:
        """Lengths (empty of a model that has none), rows and seconds of every run that was measured, in order."""

    def facts(self) -> list[dict[str, Any]]:
        """The same for people and programs, as JSON has it; empty where nothing could be measured."""


@dataclass(frozen=True)
class Load:
    """What waits, in time."""

    waiting_s: float
    """Until all of it has begun to run: 0 where its cost is not known."""
    batch_s: float | None
    """What a batch takes; None where that is not known."""


@dataclass(frozen=True)
class Queueing:
    """How requests wait for their turn, as clients read it in a model's configuration."""

    most_requests: int
    """Most requests that may wait."""
    delay_s: float = 0.0
    """How long the oldest one may wait for company."""
    preferred_rows: tuple[int, ...] = ()
    """Sizes of batch that are worth making, ascending."""


class Engine(Protocol):
    """Answers the requests of one version through their replies. Any thread may use it."""

    @property
    def queueing(self) -> Queueing:
        """How requests wait."""

    @property
    def cost(self) -> Cost:
        """What its runs were measured to cost."""

    def submit(self, request: QueuedRequest) -> None:
        """Admit a request; QueueFull, VersionEnded, DeadlineExceeded or QueueTimeout where it cannot be.

        Never blocks for long. Once admitted, a request gets one answer or one error through its reply.
        """

    @property
    def waiting(self) -> int:
        """Requests that have not begun to run."""

    @property
    def load(self) -> Load:
        """What waits, as measured costs tell it."""

    @property
    def quiet(self) -> bool:
        """True while nothing waits and nothing runs."""

    def close(self) -> None:
        """Refuse what is new, finish what was admitted, let go of sessions and threads."""
