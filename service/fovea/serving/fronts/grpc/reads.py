"""Messages that are on their way: what those that do not come to an end may take of time and memory.

gRPC keeps what has come of a message until it is whole, and does not tell how much that is. So the process's memory
is looked at: where it grows too far while more messages are on their way than could fit, those that have been longest
on theirs are cut off. Whole messages, which are here within milliseconds, are not concerned.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import grpc

from fovea.contract.errors import DeadlineExceeded, QueueFull
from fovea.serving.fronts.grpc.status import status_of

log = logging.getLogger(__name__)

_LOOK_S = 0.1
_MB = 1024 * 1024
_QUIET_LOOKS = 4
"""Until what reads have left behind is freed."""
_WORTH_GIVING_BACK = 64 * _MB
_SELDOM_S = 10.0
"""To give memory back takes time, and who takes it up again at once had better keep it."""


class Read(Protocol):
    """A call whose message is on its way."""

    seen_s: float | None
    """When the call was first found waiting for its message; None before."""

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """End the call with an error."""


@dataclass(frozen=True)
class ReadLimits:
    """What messages that are on their way may take."""

    bytes: int
    """Most bytes of all messages together."""
    message_bytes: int
    """Most bytes of one message."""
    calls: int = 16_384
    """Most calls, which take some 10 KB each before the first byte of a message."""
    seconds: float = 60.0
    """For a message to become whole."""

    @property
    def safe_calls(self) -> int:
        """So many cannot take too much."""
        return max(1, self.bytes // self.message_bytes)

    @property
    def told(self) -> str:
        """Why one is cut off, in words."""
        return (
            f"are on their way and take what there is for them, {self.bytes // _MB} MB (--max-queue-mb) or "
            f"{self.calls} calls; this one has been on its way longest"
        )

    def surplus(self, calls: int, grown_bytes: int) -> int:
        """How many of so many calls are to be cut off, now that memory has grown by so much."""
        crowd = max(0, calls - self.calls)
        if calls <= self.safe_calls or grown_bytes <= self.bytes:
            return crowd
        share = 1 - self.bytes / grown_bytes
        return max(crowd, min(calls - self.safe_calls, ceil(share * calls)))


@dataclass(frozen=True)
class Memory:
    """The process's own, in bytes."""

    held: Callable[[], int]
    give_back: Callable[[], None]
    """Return to the system what has been freed."""


class ReadWatch:
    """Looks at the reads of some sources ten times a second, on a thread of its own once it is started."""

    def __init__(self, sources: Sequence[Callable[[], Iterable[Read]]], limits: ReadLimits, memory: Memory) -> None:
        self._sources, self._limits, self._memory = sources, limits, memory
        self._over = threading.Event()
        self._before = self._at_rest = memory.held()
        """Memory before there were too many reads to be safe, and what it comes back to."""
        self._has_cut = False
        self._quiet_looks = 0
        self._again_s = 0.0

    def start(self) -> None:
        """Look at the calls again and again until `stop`."""
        threading.Thread(target=self._run, daemon=True, name="messages on their way").start()

    def stop(self) -> None:
        """Begin no further look."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("a look at messages on their way failed")

    def look(self, now_s: float) -> None:
        """Cut off what takes too long or too much. Those that this look is the first to find are left alone."""
        reads = [read for source in self._sources for read in source()]
        slow = sorted((read for read in reads if read.seen_s is not None), key=lambda read: read.seen_s or 0.0)
        for read in reads:
            read.seen_s = now_s if read.seen_s is None else read.seen_s
        late = [read for read in slow if now_s - (read.seen_s or 0.0) >= self._limits.seconds]
        for read in late:
            read.refuse(*status_of(DeadlineExceeded(f"no whole message came within {self._limits.seconds:g} s")))
        self._bound(slow[len(late) :], now_s)

    def _bound(self, slow: Sequence[Read], now_s: float) -> None:
        self._quiet_looks = 0 if slow else self._quiet_looks + 1
        held = self._held(now_s)
        surplus = self._limits.surplus(len(slow), held - self._before)
        for read in slow[:surplus]:
            read.refuse(*status_of(QueueFull(f"{len(slow)} messages {self._limits.told}")))
        self._has_cut = surplus > 0
        if len(slow) <= self._limits.safe_calls:
            self._before = held

    def _held(self, now_s: float) -> int:
        """Memory now, without what has been freed and the C library keeps, where that may be much."""
        held = self._memory.held()
        is_quiet = self._quiet_looks >= _QUIET_LOOKS and now_s >= self._again_s
        if (is_quiet or self._has_cut) and held - self._at_rest > _WORTH_GIVING_BACK:
            self._memory.give_back()
            held = self._memory.held()
            if is_quiet:
                self._at_rest, self._again_s = held, now_s + _SELDOM_S
        self._at_rest = min(self._at_rest, held)
        return held
