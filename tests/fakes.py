"""Small stand-ins for tests: each does one thing that a test can watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fovea.contract.errors import ExecutionFailed, FoveaError


class FakeReply:
    """Keeps what a caller would have got."""

    def __init__(self) -> None:
        self.gone = False
        self.watched = threading.Event()
        self.outputs: dict[str, Any] | None = None
        self.error: FoveaError | None = None
        self.done = threading.Event()
        self.before_answer: Callable[[], object] = lambda: None

    def watch(self) -> None:
        self.watched.set()

    def leave(self) -> None:
        """The caller goes away; told to those only who watch."""
        assert self.watched.wait(20)
        self.gone = True

    def send(self, event: Any, final: bool = True) -> None:
        assert not self.done.is_set()
        if isinstance(event, FoveaError):
            self.error = event
        else:
            self.before_answer()
            self.outputs = {name: np.array(array) for name, array in event.items()}
        if final or self.error:
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

    def batch(self, ran: Any, inputs: Sequence[Any]) -> None:
        assert len(inputs) in (0, len(ran.rows))
        assert len(ran.rows) == len(ran.arrived_s) == len(ran.outcomes)
        self.batch_rows.append(sum(ran.rows))
        self.outcomes += ran.outcomes

    def batch_failed(self) -> None:
        self.failed_batches += 1

    def requests(self, outcome: str, duration_s: Sequence[float], rows: int) -> None:
        assert rows >= 0
        self.outcomes += [outcome] * len(duration_s)


class FakeInference:
    """Keeps the replies to what it gets, or raises an error."""

    most_header = 1 << 16
    wants_origins = False

    def __init__(self, error: Exception | None = None) -> None:
        self.replies: list[Any] = []
        self._error = error

    def submit(self, _request: Any, reply: Any) -> None:
        if self._error is not None:
            raise self._error
        reply.watch()
        self.replies.append(reply)

    def stray(self) -> None:
        pass


class FakeControl:
    """Answers what is asked of the server itself."""

    rpcs = ("ServerLive",)

    def answer(self, rpc: str, _request: Any, _is_gone: Any = None) -> Any:
        assert rpc == "ServerLive"
        return {"live": True}
