"""What waits to be decoded: a line of requests for each model, in order of urgency. Models share time evenly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from numpy.typing import NDArray

from fovea.inputs.spans import Piece
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.observer import Observer
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest
from fovea.serving.inputs.raw_input import RawInput


@dataclass(slots=True, eq=False)
class Undecoded:
    """A request with pictures, texts or very much data, how far it has come, and where it goes from here."""

    model: str
    request: QueuedRequest
    decode: Callable[[], Arrays] | None
    """Makes its inputs, where they are not made yet."""
    raw: tuple[RawInput, ...]
    """The inputs that came as pictures or texts."""
    onward: Callable[[QueuedRequest], None]
    """Takes it once all its inputs are tensors."""
    again: Callable[[], None]
    """Called instead where its version has ended meanwhile."""
    observer: Observer
    """Is told where decoding fails."""
    batch_key: Callable[[Arrays], BatchKey] | None = None
    """Tells what it shares a batch with, where only its tensors show that."""
    tell: Callable[[Arrays], None] | None = None
    """Takes the tokens that its texts became and where they are, as outputs; None where nobody asked."""
    pieces: list[list[Piece]] = field(default_factory=list)
    """The tokens of the rows that are tensors by now, where somebody asked."""
    left: deque[tuple[RawInput, int]] | None = None
    """Pictures and texts that are no tensors yet, each by its input and row; None before the first is made."""
    rows: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    """Input -> the rows that are tensors by now."""
    arrival: int = 0
    """Its place among those that are as urgent."""


@dataclass(slots=True)
class _Line:
    heap: list[tuple[tuple[int, float], int, Undecoded]] = field(default_factory=list)
    """Heap by urgency, then arrival."""
    bytes: int = 0

    @property
    def requests(self) -> int:
        return len(self.heap)

    @property
    def first(self) -> Undecoded:
        return self.heap[0][-1]


class DecodeLines:
    """Each line is bounded for itself, so a flood of pictures for one model neither refuses nor delays another's.

    Whose line has used the least time goes next. One that was empty begins with what the last that went had used: it
    is not kept waiting by its past, and has saved up nothing either. What is decoded in one go, for seconds maybe, is
    so one at a time: the other threads are left for pictures.
    """

    def __init__(self, limit: QueueLimit) -> None:
        self._limit = limit
        self._lines: dict[str, _Line] = {}
        """Model -> its line; no line is empty."""
        self._used_s: dict[str, float] = {}
        """Model -> decoding time used; of one without a line, only where it is ahead of the others."""
        self._least_s = 0.0
        """What the line that went last had used before."""
        self._in_one_go: Undecoded | None = None
        self._arrivals = count(1)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._lines)

    def add(self, undecoded: Undecoded) -> None:
        """Let it wait; QueueFull where its model's line has no room."""
        line = self._lines.get(undecoded.model) or _Line()
        if not self._limit.admits(line, undecoded.request.bytes):
            raise self._limit.full("decode queue", line)
        undecoded.arrival = next(self._arrivals)
        self._put(undecoded)

    def put_back(self, undecoded: Undecoded) -> None:
        """Let what was taken wait on in its old place."""
        self._put(undecoded)

    def _put(self, undecoded: Undecoded) -> None:
        line = self._lines.setdefault(undecoded.model, _Line())
        heappush(line.heap, (undecoded.request.urgency, undecoded.arrival, undecoded))
        line.bytes += undecoded.request.bytes

    @property
    def next_model(self) -> str | None:
        """Whose turn it is; None where nothing waits, or nothing that may be begun now."""
        ready = [model for model, line in self._lines.items() if not (self._in_one_go and line.first.decode)]
        return min(ready, key=self._used, default=None)

    def take(self) -> Undecoded:
        """The most urgent request of the model whose turn it is. There must be one."""
        model = self.next_model
        assert model is not None
        self._least_s = self._used(model)
        self._used_s = {other: used_s for other, used_s in self._used_s.items() if used_s > self._least_s}
        line = self._lines[model]
        *_, undecoded = heappop(line.heap)
        line.bytes -= undecoded.request.bytes
        if not line.heap:
            del self._lines[model]
        if undecoded.decode:
            self._in_one_go = undecoded
        return undecoded

    def charge(self, undecoded: Undecoded, seconds: float) -> None:
        """What was taken has been worked on for so long."""
        self._used_s[undecoded.model] = self._used(undecoded.model) + seconds
        if self._in_one_go is undecoded:
            self._in_one_go = None

    def _used(self, model: str) -> float:
        return max(self._least_s, self._used_s.get(model, 0.0))

    def take_all(self) -> list[Undecoded]:
        """Everything that waits."""
        lines, self._lines = self._lines, {}
        return [undecoded for line in lines.values() for *_, undecoded in line.heap]
