"""Sends a share of the fuzz's calls, many in flight, from a process of its own, and counts what came back."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from tests.torture.fuzzed import Fuzzed, fuzzed

from fovea import wire

IN_FLIGHT = 32
ANSWERED_WITHIN_S = 30.0
SHARE = 500
_CONNECTIONS = 4
OUR_FAULT = ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS", "ABORTED")
"""What no message may get. The deadline is the client's own: a call that meets it has hung."""
AS_THE_TABLE_SAYS = "shared memory region"
"""What is too small for its region is INTERNAL by the protocol's table, and by Triton: the one mistake that is."""
_LOST = ("Socket closed", "failed to connect", "Connection reset", "recvmsg", "GOAWAY")


@dataclass(frozen=True)
class Failure:
    """A call that got what none may get."""

    number: int
    rpc: str
    status: str
    text: str


@dataclass
class Tally:
    """Counts of one share, or of all."""

    messages: int = 0
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Take another one's counts in."""
        self.messages += other.messages
        self.statuses += other.statuses
        self.failures += other.failures
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def send_share(address: str, seed: int, numbers: range) -> Tally:
    """Send the calls of these numbers."""
    tally = Tally()
    channels = [
        grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(_CONNECTIONS)
    ]
    with ThreadPoolExecutor(IN_FLIGHT) as readers:
        waiting: deque[tuple[int, Fuzzed, Any, float]] = deque()
        for number in numbers:
            call = fuzzed(seed, number)
            started = _start(channels[number % _CONNECTIONS], readers, call)
            waiting.append((number, call, started, time.monotonic()))
            if len(waiting) == IN_FLIGHT:
                _count(tally, *waiting.popleft())
        for each in waiting:
            _count(tally, *each)
    for channel in channels:
        channel.close()
    return tally


def _start(channel: grpc.Channel, readers: ThreadPoolExecutor, call: Fuzzed) -> Any:
    """A future of the answer, or of a stream's answers."""
    if not call.streams:
        return channel.unary_unary(wire.path(call.rpc)).future(call.messages[0], timeout=ANSWERED_WITHIN_S)
    answers = channel.stream_stream(wire.path(call.rpc))(_each(call.messages), timeout=ANSWERED_WITHIN_S)
    return readers.submit(b"".join, _read(answers))


def _each(messages: Iterable[bytes]) -> Iterator[bytes]:
    yield from messages


def _read(answers: Any) -> Iterator[bytes]:
    yield from answers


def _count(tally: Tally, number: int, call: Fuzzed, answer: Any, begun_s: float) -> None:
    status, text = _outcome(answer)
    tally.messages += len(call.messages)
    tally.statuses[call.rpc, status] += 1
    tally.slowest_s = max(tally.slowest_s, time.monotonic() - begun_s)
    ours = status in OUR_FAULT and not (status == "INTERNAL" and AS_THE_TABLE_SAYS in text)
    if ours or any(lost in text for lost in _LOST):
        tally.failures.append(Failure(number, call.rpc, status, text))


def _outcome(answer: Any) -> tuple[str, str]:
    try:
        content = answer.result()
    except grpc.RpcError as error:
        return error.code().name, str(error.details())
    return ("INTERNAL", "in a stream") if b"internal error" in content else ("OK", "")
