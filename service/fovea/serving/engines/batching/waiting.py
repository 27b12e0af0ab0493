"""The requests of one model that wait: a line for each kind, each in order of urgency."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter

from fovea.serving.engines.queued_request import BatchKey, QueuedRequest

Line = deque[QueuedRequest]
_URGENCY = attrgetter("urgency")


class Waiting:
    """Kinds never stand in each other's way: who looks for a batch sees lines of one kind, the most urgent first."""

    def __init__(self, requests: Iterable[QueuedRequest] = ()) -> None:
        self._lines: dict[BatchKey, Line] = {}
        self.requests = 0
        """How many requests wait."""
        self.bytes = 0
        """Bytes of input of all that wait."""
        self.work_s = 0.0
        """What all of it costs at best."""
        for request in requests:
            self.add(request)

    def __iter__(self) -> Iterator[QueuedRequest]:
        return (request for line in self._lines.values() for request in line)

    def add(self, request: QueuedRequest) -> None:
        """Let it stand behind all that are as urgent."""
        line = self._lines.get(request.batch_key)
        if line is None:
            line = self._lines[request.batch_key] = deque()
        if not line or line[-1].urgency <= request.urgency:
            line.append(request)
        else:
            line.insert(bisect_right(line, request.urgency, key=_URGENCY), request)
        self.requests += 1
        self.bytes += request.bytes
        self.work_s += request.work_s

    def lines(self) -> list[Line]:
        """The line of each kind, never empty, the one with the most urgent request first."""
        lines = list(filter(None, self._lines.values()))
        if len(lines) > 1:
            lines.sort(key=lambda line: line[0].urgency)
        return lines

    def ahead_s(self, newcomer: QueuedRequest, most_rows: int) -> float:
        """What the requests cost at best that go before, or with, a newcomer whose kind's batches have `most_rows`."""
        line = self._lines.get(newcomer.batch_key, ())
        company = [request for request in line if request.urgency <= newcomer.urgency]
        first = _first_of_its_batch([*company, newcomer], most_rows)
        others = (
            request for request in self if request.batch_key != newcomer.batch_key and request.urgency <= first.urgency
        )
        return sum(request.work_s for request in (*company, *others))

    def account_for(self, requests: Iterable[QueuedRequest]) -> None:
        """Forget requests that were taken off their lines."""
        for request in requests:
            self.requests -= 1
            self.bytes -= request.bytes
            self.work_s -= request.work_s
        if len(self._lines) > 1:  # else the next one is of the same kind, most likely
            for key in [key for key, line in self._lines.items() if not line]:
                del self._lines[key]
        if not self.requests:
            self.work_s = 0.0  # sums of floats drift


def put_back(line: Line, requests: Iterable[QueuedRequest]) -> None:
    """Return requests to the front of the line that they were taken off."""
    line.extendleft(sorted(requests, key=_URGENCY, reverse=True))


def _first_of_its_batch(line: list[QueuedRequest], most_rows: int) -> QueuedRequest:
    """Of the batch that the last of a line runs in, the first request: the whole batch goes when its turn comes."""
    first, rows = line[0], 0
    for request in line:
        rows += request.rows
        if rows > most_rows:
            first, rows = request, request.rows
    return first
