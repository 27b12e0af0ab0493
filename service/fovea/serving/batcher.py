"""Which waiting requests form the next batch: pure decisions, no clock, no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.contract.errors import FoveaError

Tensors = Mapping[str, NDArray[Any]]


class Reply(Protocol):
    """Where an answer goes. The first of `answer` and `fail` that succeeds counts; more do nothing."""

    @property
    def gone(self) -> bool:
        """True once nobody waits for the answer any more; told late, or never, to those that did not `watch`."""

    def watch(self) -> None:
        """Keep `gone` up to date from now on."""

    def answer(self, outputs: Tensors) -> None:
        """Send the outputs; they are views and must be copied before this returns."""

    def fail(self, error: FoveaError) -> None:
        """Send an error."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind fit into one batch: same shapes beyond the batch axis, same session."""

    shapes: Hashable
    maps: bool = False
    length: int | None = None
    """The bucket that its sequences fall into: what they are padded to at most. None of a model without sequences."""


@dataclass(slots=True, eq=False)
class Request:
    """A validated request that waits. Times are seconds of one monotonic clock."""

    inputs: Tensors
    rows: int
    kind: Kind
    reply: Reply
    arrived_s: float
    deadline_s: float | None = None
    """The call's own deadline."""
    queue_until_s: float | None = None
    """How long it may wait in the queue."""
    bytes: int = 0
    """Size of its inputs."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """`delay_s` is how long the oldest request may wait for company."""

    max_rows: int
    """Most in a batch, where `rows_by_length` says nothing."""
    delay_s: float = 0.0
    rows_by_length: Mapping[int | None, int] = field(default_factory=dict)
    """Most in a batch of sequences that are padded to this length; None: of a model without sequences."""

    def rows_of(self, kind: Kind) -> int:
        """Most rows in a batch of this kind."""
        return self.rows_by_length.get(kind.length, self.max_rows)


@dataclass(slots=True)
class Taken:
    """What came off the queue: a batch to run, and requests that will not run."""

    batch: list[Request] = field(default_factory=list)
    rows: int = 0
    gone: list[Request] = field(default_factory=list)
    late: list[Request] = field(default_factory=list)
    bytes: int = 0
    """Size of everything that was taken off."""
    wait_s: float = 0.0
    """More than 0: nothing is due yet, come back after this time."""


def take_batch(waiting: deque[Request], now_s: float, policy: BatchPolicy) -> Taken:
    """Take the next batch off the left of `waiting`: the oldest request and all that fit with it.

    Requests of another kind, or too large for the room left, keep their places. Requests whose caller is gone or
    whose time is up are taken off too, and never reach a batch. The only effect is on `waiting`, which another
    thread may append to meanwhile.
    """
    taken, kept, most = Taken(), [], policy.max_rows
    while waiting and taken.rows < most:
        request = waiting.popleft()
        if _take_dead(request, now_s, taken):
            continue
        if _fits(request, taken, most):
            if not taken.batch:
                most = policy.rows_of(request.kind)
            taken.batch.append(request)
            taken.rows += request.rows
            taken.bytes += request.bytes
        else:
            kept.append(request)
    if taken.rows < most and not kept:
        taken.wait_s = _wait_s(taken, now_s, policy)
    waiting.extendleft(reversed(kept))
    if taken.wait_s:
        waiting.extendleft(reversed(taken.batch))
        taken.bytes -= sum(request.bytes for request in taken.batch)
        taken.batch, taken.rows = [], 0
    return taken


def drop_dead(waiting: deque[Request], now_s: float) -> Taken:
    """Take off every request whose caller is gone or whose time is up; the others keep their order."""
    taken = Taken()
    for _ in range(len(waiting)):
        request = waiting.popleft()
        if not _take_dead(request, now_s, taken):
            waiting.append(request)
    return taken


def _take_dead(request: Request, now_s: float, taken: Taken) -> bool:
    # Time first: gRPC cancels a call at its deadline, and such a caller is both late and gone.
    dead = taken.late if is_late(request, now_s) else taken.gone if request.reply.gone else None
    if dead is None:
        return False
    dead.append(request)
    taken.bytes += request.bytes
    return True


def is_late(request: Request, now_s: float) -> bool:
    """True once its deadline or its time in the queue has passed."""
    return (request.deadline_s is not None and request.deadline_s <= now_s) or (
        request.queue_until_s is not None and request.queue_until_s <= now_s
    )


def _fits(request: Request, taken: Taken, most_rows: int) -> bool:
    if not taken.batch:
        return True  # a request above the limit runs alone
    return request.kind == taken.batch[0].kind and taken.rows + request.rows <= most_rows


def _wait_s(taken: Taken, now_s: float, policy: BatchPolicy) -> float:
    """A batch with room may wait for company, until its oldest request has waited `delay_s`."""
    if not policy.delay_s or not taken.batch:
        return 0.0
    return max(0.0, taken.batch[0].arrived_s + policy.delay_s - now_s)
