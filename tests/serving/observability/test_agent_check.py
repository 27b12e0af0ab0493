"""Agent checks, as a balancer makes them of a real server."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import grpc
import numpy as np
import pytest

from fovea.serving.observability.agent_check import AgentCheck
from raw_client import RawClient
from servers import RunningServer, infer_request, running_server, slow_model, wait_until

LATE_S = 600
"""Of a server that is told to end and still serves."""


def asked(address: tuple[str, int], said: bytes = b"") -> bytes:
    """All that one connection gets."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(said)
        found = [connection.recv(1024)]
        with suppress(ConnectionResetError):  # where what was said came after the end
            found.append(connection.recv(1024))
        return b"".join(found)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = slow_model(tmp_path_factory.mktemp("slow"))
    flags = ("--agent-port=0", "--threads=1", "--max-batch-rows=1", f"--drain-delay={LATE_S}")
    with running_server(repository, *flags) as server:
        yield server


def test_an_idle_server_is_up_with_all_of_its_weight(slow: RunningServer) -> None:
    assert asked(slow.agent) == b"ready up 100%\n"


def test_the_weight_falls_while_work_waits_and_comes_back(slow: RunningServer) -> None:
    request = infer_request("slow", np.ones((1, 256), np.float32))
    with grpc.insecure_channel(slow.grpc) as channel:
        client = RawClient(channel)
        callers = [threading.Thread(target=client.send, args=("ModelInfer", request)) for _ in range(40)]
        for caller in callers:
            caller.start()
        wait_until(lambda: int(asked(slow.agent).split()[2][:-1]) < 30)
        for caller in callers:
            caller.join()
    assert asked(slow.agent) == b"ready up 100%\n"


def test_connections_that_say_nothing_or_never_read_hold_nobody_up(slow: RunningServer) -> None:
    silent = [socket.create_connection(slow.agent, timeout=60) for _ in range(100)]
    assert asked(slow.agent) == b"ready up 100%\n"
    for one in silent:
        one.close()


def test_what_is_said_there_is_not_looked_at(slow: RunningServer) -> None:
    assert asked(slow.agent, b"GET /v2 HTTP/1.1\r\n\r\n") == b"ready up 100%\n"


def test_from_sigterm_on_it_drains(slow: RunningServer) -> None:
    slow.process.send_signal(signal.SIGTERM)
    wait_until(lambda: asked(slow.agent) == b"drain\n")


def test_one_that_has_stopped_answers_nobody() -> None:
    agent = AgentCheck("127.0.0.1", 0, lambda: "up")
    assert asked(("127.0.0.1", agent.port)) == b"up\n"
    agent.stop()
    with pytest.raises(ConnectionRefusedError):
        asked(("127.0.0.1", agent.port))
