"""Calls that are opened and send no message, or half of one, hold up nobody, and are ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.torture.half_calls import HalfCalls
from tests.torture.watch import census, peak_memory

from fovea import wire
from fovea.serving.fronts.grpc.context_reads import ContextReads
from fovea.serving.fronts.grpc.reads import Memory, ReadLimits, ReadWatch
from grpc_servers import grpc_here
from servers import infer_request, running_server, wait_until

LANES = ["fast-lane", "no-fast-lane"]
LIVE, INFER, CHECK = wire.path("ServerLive"), wire.path("ModelInfer"), "/grpc.health.v1.Health/Check"
INDEX = wire.path("RepositoryIndex")
MB = 1024 * 1024


@dataclass
class FakeRead:
    """A message on its way; as long as it is, it is one of `open`."""

    open: list[FakeRead]
    seen_s: float | None = None
    told: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        self.told.append((code, text))
        self.open.remove(self)


class World:
    """A watch over fake reads and fake memory."""

    def __init__(self, limits: ReadLimits) -> None:
        self.open: list[FakeRead] = []
        self.held, self.freed = 0, 0
        self.watch = ReadWatch([lambda: list(self.open)], limits, Memory(lambda: self.held, self._give_back))

    def _give_back(self) -> None:
        self.held, self.freed = self.held - self.freed, 0

    def begin(self, count: int) -> list[FakeRead]:
        begun = [FakeRead(self.open) for _ in range(count)]
        self.open += begun
        return begun


def codes(reads: list[FakeRead]) -> list[str]:
    return [code.name for read in reads for code, _ in read.told]


def test_a_message_that_does_not_come_in_time_ends_its_call() -> None:
    world = World(ReadLimits(100, 10, seconds=60))
    (first,) = world.begin(1)
    world.watch.look(0.0)
    (second,) = world.begin(1)
    for now_s in (1.0, 59.9):
        world.watch.look(now_s)
    assert codes([first, second]) == []
    world.watch.look(60.1)
    assert first.told == [(grpc.StatusCode.DEADLINE_EXCEEDED, "no whole message came within 60 s")]
    assert codes([second]) == []


def test_where_memory_grows_too_far_those_go_that_have_been_longest_on_their_way() -> None:
    world = World(ReadLimits(bytes=100 * MB, message_bytes=10 * MB))
    old = world.begin(20)
    world.watch.look(0.0)
    young = world.begin(20)
    world.watch.look(1.0)
    world.held = 200 * MB
    world.watch.look(2.0)
    assert codes(old) == ["UNAVAILABLE"] * 20
    assert codes(young) == []
    assert "take what there is for them, 100 MB (--max-queue-mb)" in old[0].told[0][1]


def test_so_many_as_fit_are_left_alone_whatever_else_makes_memory_grow() -> None:
    world = World(ReadLimits(bytes=100 * MB, message_bytes=10 * MB))
    reads = world.begin(10)
    for look in range(5):
        world.watch.look(float(look))
        world.held += 500 * MB
    assert codes(reads) == []


def test_many_are_left_alone_while_they_are_small() -> None:
    world = World(ReadLimits(bytes=100 * MB, message_bytes=10 * MB))
    reads = world.begin(1000)
    for look in range(5):
        world.watch.look(float(look))
        world.held += 19 * MB
    assert codes(reads) == []


def test_calls_that_say_nothing_are_bounded_in_number() -> None:
    world = World(ReadLimits(bytes=100, message_bytes=10, calls=30))
    reads = world.begin(50)
    for look in range(3):
        world.watch.look(float(look))
    assert codes(reads) == ["UNAVAILABLE"] * 20


def test_memory_that_was_freed_is_given_back_once_they_are_gone() -> None:
    world = World(ReadLimits(bytes=1000 * MB, message_bytes=10 * MB))
    world.begin(20)
    world.watch.look(0.0)
    world.held = world.freed = 200 * MB
    world.watch.look(1.0)
    world.open.clear()
    for look in range(2, 8):
        world.watch.look(float(look))
    assert world.held == 0


class FakeContext:
    """A call of which `messages` gives one message: when it comes, or nothing once the call is cancelled."""

    def __init__(self) -> None:
        self.comes = threading.Event()
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self.comes.set()

    def messages(self) -> Iterator[bytes]:
        assert self.comes.wait(20)
        yield b"" if self.is_cancelled else b"here"


@pytest.mark.parametrize("first_comes", [True, False])
def test_a_message_that_comes_at_once_is_never_cut_off_for_another_and_one_that_does_not_come_is(
    first_comes: bool,
) -> None:
    reads, first, second = ContextReads(1), FakeContext(), FakeContext()
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(reads.next(first.messages(), first)))
    waiting.start()
    wait_until(lambda: len(reads.open()) == 1)
    following = threading.Thread(target=lambda: got.append(reads.next(second.messages(), second)))
    following.start()
    first.comes.set() if first_comes else wait_until(lambda: first.is_cancelled)
    second.comes.set()
    waiting.join(20)
    following.join(20)
    assert got == [b"here" if first_comes else b"", b"here"]
    assert (first.is_cancelled, reads.open()) == (not first_comes, [])


@pytest.mark.parametrize("lane", LANES)
def test_probes_are_answered_whatever_calls_are_opened_and_say_nothing(repository: Path, lane: str) -> None:
    with (
        running_server(repository, f"--{lane}", "--handler-threads=4") as server,
        HalfCalls(server.grpc) as silent,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        for path in (LIVE, wire.path("ServerReady"), CHECK, "/grpc.health.v1.Health/Watch", INDEX):
            silent.open(path, 100)
        for path in (LIVE, wire.path("ServerReady"), CHECK, INDEX):
            assert channel.unary_unary(path)(b"", timeout=20) is not None
        assert channel.unary_unary(INFER)(infer_request("double", np.ones((1, 4), np.float32)), timeout=20)


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("sent", [b"", b"\0\0\0\0\x09half"], ids=["nothing", "half"])
def test_a_call_whose_message_does_not_come_is_ended(fast_lane: bool, sent: bytes) -> None:
    with (
        grpc_here(fast_lane=fast_lane, seconds=0.3) as server,
        HalfCalls(f"127.0.0.1:{server.port}") as calls,
    ):
        for path in (LIVE, INFER, CHECK, "/grpc.health.v1.Health/Watch"):
            calls.open(path, 1, sent)
        assert calls.ended(4)


@pytest.mark.parametrize("lane", LANES)
def test_half_messages_are_bounded_in_bytes_and_leave_nothing_behind(repository: Path, lane: str) -> None:
    with running_server(repository, f"--{lane}", "--max-queue-mb=128", "--max-message-mb=16") as server:
        before_mb = census(server).resident_mb
        with ExitStack() as held, peak_memory(server) as peak:
            callers = [held.enter_context(HalfCalls(server.grpc)) for _ in range(80)]
            for caller in callers:
                caller.half(INFER, 15 * MB, 14 * MB)
            wait_until(lambda: any(caller.ended(1, 0) for caller in callers))
        assert 64 < peak.grown_mb < 640  # of 1,120 that they sent
        wait_until(lambda: census(server).resident_mb < before_mb + 64)
