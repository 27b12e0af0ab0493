"""What the workers of one version have in hand. Nothing here locks: whoever asks holds the queue's lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fovea.serving.engines.batching.worker import Worker
from fovea.serving.engines.queued_request import QueuedRequest


class InHand:
    """Who is free, and the batch that each of the others has."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self.free = list(workers)
        """The workers that have nothing to do."""
        self._batches: dict[Worker, tuple[list[QueuedRequest], float]] = {}
        """And when it began with it."""

    def __bool__(self) -> bool:
        return bool(self._batches)

    def begin(self, batch: list[QueuedRequest], now_s: float) -> Worker:
        """A free worker, which has this batch in hand from now on."""
        worker = self.free.pop()
        self._batches[worker] = (batch, now_s)
        return worker

    def end(self, worker: Worker) -> None:
        """It is done with its batch, and free."""
        del self._batches[worker]
        self.free.append(worker)

    def requests(self) -> Iterator[QueuedRequest]:
        """All that are being run."""
        return (request for batch, _ in self._batches.values() for request in batch)

    def first_free_s(self, now_s: float) -> float:
        """How long until a worker takes the next batch."""
        if self.free:
            return 0.0
        until_s = [begun_s + sum([request.work_s for request in batch]) for batch, begun_s in self._batches.values()]
        return max(0.0, min(until_s) - now_s)
