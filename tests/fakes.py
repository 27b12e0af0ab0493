"""Small stand-ins for tests: each does one thing that a test can watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fovea.contract.errors import ExecutionFailed, FoveaError
from fovea.wire import message


class FakeReply:
    """Keeps what a caller would have got."""

    def __init__(self) -> None:
        self.gone = False
        self.watched = threading.Event()
        self.outputs: dict[str, Any] | None = None
        self.error: FoveaError | None = None
        self.done = threading.Event()

    def watch(self) -> None:
        self.watched.set()

    def leave(self) -> None:
        """The caller goes away; told to those only who watch."""
        assert self.watched.wait(20)
        self.gone = True

    def answer(self, outputs: Any) -> None:
        self.outputs = {name: np.array(array) for name, array in outputs.items()}
        self.done.set()

    def fail(self, error: FoveaError) -> None:
        self.error = error
        self.done.set()


class FakeSession:
    """Doubles `x`; refuses batches in which a row is negative; may be told to wait before it runs."""

    def __init__(self, before_run: Callable[[], object] = lambda: None) -> None:
        self.batches: list[list[float]] = []
        self.attention_s: dict[str, float] = {}
        self.padding_ratio = 0.0
        self._before_run = before_run
        self.on_terminate: Callable[[], object] = lambda: None
        self.terminated = 0

    def gather(self, requests: Sequence[Any]) -> None:
        self._rows = np.concatenate([request["x"] for request in requests])

    def run(self) -> None:
        before = self.terminated
        self._before_run()
        if self.terminated > before:
            raise ExecutionFailed("terminated")
        self.batches.append(self._rows[:, 0].tolist())
        if (self._rows < 0).any():
            raise ExecutionFailed("a row is negative")

    def terminate(self) -> None:
        self.terminated += 1
        self.on_terminate()

    def split(self, rows_per_request: Sequence[int]) -> list[dict[str, Any]]:
        ends = np.cumsum(rows_per_request)
        return [{"y": self._rows[end - rows : end] * 2} for end, rows in zip(ends, rows_per_request, strict=True)]


class FakeObserver:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.batch_rows: list[int] = []
        self.failed_batches = 0

    def batch(self, record: Any, queue_s: Sequence[float]) -> None:
        assert len(queue_s) == record.requests
        self.batch_rows.append(record.rows)

    def batch_failed(self) -> None:
        self.failed_batches += 1

    def requests(self, outcome: str, duration_s: Sequence[float], rows: int) -> None:
        assert rows >= 0
        self.outcomes += [outcome] * len(duration_s)

    def sample(self, batch: Sequence[Any]) -> None:
        pass


class FakeServicer:
    """Keeps the calls that it gets, or raises an error; answers what is asked of the server itself."""

    control_rpcs = ("ServerLive",)

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[Any] = []
        self._error = error

    def infer(self, call: Any, data: bytes, **_sending: Any) -> None:
        assert data
        if self._error is not None:
            raise self._error
        call.watch()
        self.calls.append(call)

    def control(self, rpc: str, call: Any, data: bytes) -> None:
        assert (rpc, data) == ("ServerLive", b"")
        call.finish(message("ServerLiveResponse")(live=True).SerializeToString())
