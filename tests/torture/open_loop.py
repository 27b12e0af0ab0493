"""Load by the clock: requests are sent when they are due, whether or not the earlier ones have been answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random
from typing import Any, TypeVar

import grpc
import numpy as np
from tests.servers import infer_request
from tests.torture.models import HEAVY, HEAVY_COLUMNS

from fovea import wire

PATIENCE_S = 60.0
_IN_FLIGHT = 16
_ALONE = 5
_BACK_TO_NORMAL = 3.0
"""Times as long as when it was alone: a probe that is answered within that has found the server recovered."""
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent, in seconds from the start, how long its answer took, and what it was."""

    sent_s: float
    took_s: float
    status: str
    right: bool


@dataclass(frozen=True)
class Offered:
    """What came of a load."""

    answers: Sequence[Answer]
    recovered_s: float
    """From the last request to the first probe that was answered as quickly as before; -1 where none was sent."""

    def took_s(self, status: str, first_s: float = 0.0, last_s: float = float("inf")) -> list[float]:
        """How long the answers of a status took, for requests sent within a time."""
        return [a.took_s for a in self.answers if a.status == status and first_s <= a.sent_s < last_s]

    def statuses(self) -> Counter[str]:
        """How many there were of each."""
        return Counter(answer.status for answer in self.answers)

    def wrong(self) -> list[str]:
        """Those answered with success, and wrongly."""
        return [f"at {a.sent_s:.1f} s" for a in self.answers if a.status == "OK" and not a.right]


def in_a_process(work: Callable[..., T], *arguments: Any) -> T:
    """Run a client where it shares no interpreter with whoever watches."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def capacity(address: str, seconds: float) -> float:
    """Rows a second with enough of them in flight."""
    infer = _infer(address)
    infer(_REQUEST, timeout=PATIENCE_S)
    until_s = time.monotonic() + seconds

    def call(done: list[int]) -> None:
        while time.monotonic() < until_s:
            infer(_REQUEST, timeout=PATIENCE_S)
            done.append(1)

    done: list[int] = []
    threads = [threading.Thread(target=call, args=(done,)) for _ in range(_IN_FLIGHT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done) / seconds


def offer(address: str, schedule: Sequence[float], probe: bool = False) -> Offered:
    """Send at these seconds from now; then, where `probe`, ask until an answer comes as quickly as it did alone."""
    infer = _infer(address)
    alone_s = [_timed(infer) for _ in range(_ALONE)]
    answers: list[Answer] = []
    begun_s = time.monotonic()
    for due_s in schedule:
        time.sleep(max(0.0, begun_s + due_s - time.monotonic()))
        _send(infer, begun_s, answers)
    recovered_s = _recovered(infer, _BACK_TO_NORMAL * max(alone_s)) if probe else -1.0
    until_s = time.monotonic() + PATIENCE_S
    while len(answers) < len(schedule) and time.monotonic() < until_s:
        time.sleep(0.01)
    return Offered(answers, recovered_s)


def poisson(rate: float, seconds: float, random: Random) -> list[float]:
    """Moments at which requests come that know nothing of each other."""
    moments, now_s = [], random.expovariate(rate)
    while now_s < seconds:
        moments.append(now_s)
        now_s += random.expovariate(rate)
    return moments


_X = np.full((1, HEAVY_COLUMNS), 2, np.float32)
_REQUEST = infer_request(HEAVY, _X)


def _infer(address: str) -> Any:
    return grpc.insecure_channel(address).unary_unary(wire.path("ModelInfer"))


def _send(infer: Any, begun_s: float, answers: list[Answer]) -> None:
    sent_s = time.monotonic()

    def done(call: Any) -> None:
        took_s = time.monotonic() - sent_s
        status, right = _outcome(call)
        answers.append(Answer(sent_s - begun_s, took_s, status, right))

    infer.future(_REQUEST, timeout=PATIENCE_S).add_done_callback(done)


def _outcome(call: Any) -> tuple[str, bool]:
    try:
        answer = wire.message("ModelInferResponse").FromString(call.result())
    except grpc.RpcError as error:
        return str(error.code().name), False
    return "OK", bool(np.allclose(np.frombuffer(answer.raw_output_contents[0], np.float32), _X[0, 0], rtol=1e-4))


def _timed(infer: Any) -> float:
    begun_s = time.monotonic()
    infer(_REQUEST, timeout=PATIENCE_S)
    return time.monotonic() - begun_s


def _recovered(infer: Any, quick_s: float) -> float:
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + PATIENCE_S:
        try:
            took_s = _timed(infer)
        except grpc.RpcError:  # still refused
            time.sleep(0.01)
            continue
        if took_s <= quick_s:
            break
    return time.monotonic() - begun_s
