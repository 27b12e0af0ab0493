"""A request as it waits in an engine for its batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from fovea.contract.errors import Cancelled, DeadlineExceeded, FoveaError, QueueTimeout
from fovea.contract.lengths import Lengths
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.outcomes import Outcome
from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.engines.reply import Reply

PATIENCE_S = 10.0
"""A request without a deadline ranks as if it had this long: urgent ones pass it, but never for longer than this."""

_CLOCKS_APART_S = 0.05
"""A caller whose deadline passes cancels by its own clock, a little before the deadline comes by this server's."""


class Trace(Protocol):
    """Notes when one request was where, and how it ended. Times are seconds of the monotonic clock."""

    def ran(self, batch: RanBatch, members: Sequence[tuple[Trace, Outcome]]) -> None:
        """A batch has run, whose traced requests are `members`, this one among them; they are answered."""

    def end(self, end_s: float, error: FoveaError | None = None) -> None:
        """It has got an error, or an answer without a run."""


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Requests of one key fit into one batch: same shapes beyond the batch axis, same session.

    Its hash is computed once: every request looks its key up, and hashing shapes takes half a microsecond.
    """

    shapes: Hashable
    maps: bool = False
    lengths: Lengths = ()
    """The bucket that each of its lengths falls into: what it is padded to at most."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.shapes, self.maps, self.lengths)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """A validated request that waits. Times are seconds of one monotonic clock."""

    inputs: Arrays
    rows: int
    batch_key: BatchKey
    reply: Reply[Arrays]
    arrived_s: float
    deadline_s: float | None = None
    """The call's own deadline."""
    queue_until_s: float | None = None
    """How long it may wait in the queue."""
    bytes: int = 0
    """Size of its inputs."""
    priority: int = 0
    """Lower goes first."""
    alone: bool = False
    """Whether nothing else is in flight where it came in: the thread that submits it has time to run it."""
    trace: Trace | None = None
    """Where its times are noted; None for all but the few that are traced."""
    due_s: float = field(init=False)
    """When waiting becomes pointless: the earlier of both times, infinity where there is neither."""
    urgency: tuple[int, float] = field(init=False)
    """Lower goes first: by priority, then earliest deadline, then arrival."""
    work_s: float = 0.0
    """What its rows cost at best, in a full batch; 0 where that is not known."""

    def __post_init__(self) -> None:
        deadline_s, until_s = self.deadline_s, self.queue_until_s
        if deadline_s is None and until_s is None:
            self.due_s = inf
            self.urgency = (self.priority, self.arrived_s + PATIENCE_S)
        else:
            self.due_s = due_s = min(inf if deadline_s is None else deadline_s, inf if until_s is None else until_s)
            self.urgency = (self.priority, due_s)


def is_late(request: QueuedRequest, now_s: float) -> bool:
    """True once its deadline or its time in the queue has passed."""
    return request.due_s <= now_s


def why_gone(request: QueuedRequest, now_s: float) -> FoveaError:
    """The error for a caller that has left: by itself, or since its deadline passed."""
    if request.deadline_s is not None and request.deadline_s <= now_s + _CLOCKS_APART_S:
        return DeadlineExceeded("the deadline passed")
    return Cancelled("the caller is gone")


def why_late(request: QueuedRequest, now_s: float, waiting: int) -> FoveaError:
    """The error for one that waited until its time was up; `waiting` more do."""
    waited_s = now_s - request.arrived_s
    told = f"after {waited_s * 1e3:.1f} ms in the queue, where {waiting} more requests wait"
    if request.deadline_s is not None and request.deadline_s <= now_s:
        return DeadlineExceeded(f"deadline passed {told}")
    limit_s = request.due_s - request.arrived_s
    return QueueTimeout(f"timed out {told}; its limit is {limit_s * 1e3:.1f} ms")
