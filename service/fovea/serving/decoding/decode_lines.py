"""The requests that wait to be decoded: a line for each model, in order of urgency, taken by turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from fovea.runtime.datatypes import Arrays
from fovea.serving.batching.observer import Observer
from fovea.serving.batching.queue_limit import QueueLimit
from fovea.serving.batching.requests import Request
from fovea.serving.decoding.picture_input import PictureInput


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A request with pictures or very much data, and where it goes from here."""

    model: str
    request: Request
    decode: Callable[[], Arrays] | None
    """Makes its inputs, where they are not made yet."""
    pictures: PictureInput | None
    """The input that came as pictures, if one did."""
    onward: Callable[[Request], None]
    """Takes it once all its inputs are tensors."""
    again: Callable[[], None]
    """Called instead where its version has ended meanwhile."""
    observer: Observer
    """Told where it fails."""


@dataclass(slots=True)
class _Line:
    """What waits for one model."""

    heap: list[tuple[tuple[int, float], int, Undecoded]] = field(default_factory=list)
    """By urgency, then arrival."""
    bytes: int = 0

    @property
    def requests(self) -> int:
        return len(self.heap)


class DecodeLines:
    """Each line is bounded for itself, so a flood of pictures for one model neither refuses nor delays another's."""

    def __init__(self, limit: QueueLimit) -> None:
        self._limit = limit
        self._lines: dict[str, _Line] = {}
        """By model, none empty; whose turn it is comes first."""
        self._arrivals = count()

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._lines)

    def add(self, undecoded: Undecoded) -> None:
        """Let it wait; QueueFull where its model's line has no room."""
        line, size = self._lines.get(undecoded.model) or _Line(), undecoded.request.bytes
        if not self._limit.admits(line, size):
            raise self._limit.full("decode queue", line)
        heappush(line.heap, (undecoded.request.urgency, next(self._arrivals), undecoded))
        line.bytes += size
        self._lines[undecoded.model] = line

    def take(self) -> Undecoded:
        """The most urgent request of the model whose turn it is, then behind the others. Something must wait."""
        model = next(iter(self._lines))
        line = self._lines.pop(model)
        *_, undecoded = heappop(line.heap)
        line.bytes -= undecoded.request.bytes
        if line.heap:
            self._lines[model] = line
        return undecoded

    def take_all(self) -> list[Undecoded]:
        """Everything that waits."""
        lines, self._lines = self._lines, {}
        return [undecoded for line in lines.values() for *_, undecoded in line.heap]
