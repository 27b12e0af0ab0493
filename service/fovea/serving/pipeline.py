"""One model version's path from admitted request to answered caller: a bounded queue and the workers behind it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from queue import Empty, SimpleQueue

from fovea.contract.errors import Cancelled, DeadlineExceeded, FoveaError, QueueFull, QueueTimeout, VersionEnded
from fovea.serving.batcher import BatchPolicy, Taken, drop_dead, take_batch
from fovea.serving.forecast import Forecast
from fovea.serving.requests import Request
from fovea.serving.turnstile import Turnstile
from fovea.serving.waiting import Waiting
from fovea.serving.worker import Observer, Worker, Workshop, fail

_MB = 1024 * 1024
_LONG_WAIT_S = 0.02


@dataclass(frozen=True)
class QueueLimit:
    """What may wait: so many requests, and so many bytes of input in all."""

    requests: int = 1024
    bytes: int = 1024 * _MB


@dataclass(frozen=True)
class Arrangement:
    """How a version's requests are batched and run."""

    policy: BatchPolicy
    limit: QueueLimit = QueueLimit()
    instances: int = 1
    forecast: Forecast = Forecast()
    turnstile: Turnstile = Turnstile(1)


class Pipeline:
    """Queue and workers of one version. `submit` may be called from any thread and never blocks for long."""

    def __init__(self, workshop: Workshop, observer: Observer, arrangement: Arrangement) -> None:
        self._observer = observer
        self._policy, self._limit = arrangement.policy, arrangement.limit
        self._forecast, self._turnstile = arrangement.forecast, arrangement.turnstile
        self._waiting = Waiting()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._idle = 0
        self._in_hand = 0
        self._batch_s = inf
        """What the last batch took, its turn included; the first one may take long."""
        self._lock = threading.Lock()
        self._closed = False
        self._workers = [Worker(workshop, observer) for _ in range(arrangement.instances)]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True, name="batch") for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()
