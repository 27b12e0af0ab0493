"""`fovea cluster`: what it writes, and a real HAProxy with that before real servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from fovea.serving.engines.engine import Load
from fovea.serving.observability.agent_check import AgentCheck
from fovea.serving.observability.agent_weight import agent_word
from haproxy_processes import free_ports, haproxy_on_path, running_haproxy
from servers import RunningServer, requests_by_outcome, running_server, wait_until

Fovea = Callable[..., tuple[int, str, str]]
COMMITTED = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
KINDS = (["10.0.0.7", "[::1]:9001:9000:0"], ["fovea-1", "fovea-2"], ["--dns", "fovea-pods.default.svc.cluster.local"])
LATE_S = 600
"""Of a server that is told to end and still serves."""


def test_the_file_before_composes_replicas_is_what_it_writes(fovea: Fovea) -> None:
    assert fovea("cluster", "--dns", "fovea", "--bind", "*") == (0, COMMITTED.read_text(), "")


@pytest.mark.parametrize("words", KINDS)
def test_haproxy_takes_what_it_writes(
    fovea: Fovea, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", haproxy_on_path(tmp_path))
    written = tmp_path / "haproxy.cfg"
    assert fovea("cluster", *words, "--check", "--output", written) == (0, "", "")
    assert written.read_text() == fovea("cluster", *words)[1]


def test_nothing_that_haproxy_refuses_is_written(fovea: Fovea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", haproxy_on_path(tmp_path))
    status, out, err = fovea("cluster", "10.0.0.7", "--bind", "10.0.0.0.7", "--check")
    assert (status, out) == (1, "")
    assert "haproxy refuses it" in err
    assert "10.0.0.0.7" in err


def test_who_wants_a_check_and_has_no_haproxy_hears_it(
    fovea: Fovea, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, err = fovea("cluster", "10.0.0.7", "--check")
    assert (status, out) == (1, "")
    assert "no haproxy" in err


@pytest.mark.parametrize("word", ["", "two words", "host:", "host:0", "host:8001:65536", "host:1:2:3:4", "line\nbreak"])
def test_a_server_that_cannot_be_one_is_refused(fovea: Fovea, word: str) -> None:
    status, out, err = fovea("cluster", "10.0.0.7", word)
    assert (status, out) == (1, "")
    assert "expected HOST[:GRPC[:HTTP[:AGENT]]]" in err


@pytest.mark.parametrize("words", [[], ["10.0.0.7", "--dns", "fovea"]])
def test_servers_are_listed_or_discovered(fovea: Fovea, words: list[str]) -> None:
    status, _, err = fovea("cluster", *words)
    assert (status, err) == (1, "fovea: name either the servers, or --dns NAME\n")


def test_behind_haproxy_both_servers_are_asked_and_one_that_ends_costs_no_request(
    fovea: Fovea, repository: Path, tmp_path: Path
) -> None:
    flags = ("--agent-port=0", f"--drain-delay={LATE_S}", "--ready-when=any")
    grpc, http, metrics = free_ports(3)
    written = tmp_path / "haproxy.cfg"
    with running_server(repository, *flags) as ending, running_server(repository, *flags) as staying:
        bound = (f"--bind-grpc={grpc}", f"--bind-http={http}", f"--bind-metrics={metrics}")
        assert fovea("cluster", place(ending), place(staying), *bound, "--output", written) == (0, "", "")
        with running_haproxy(written, metrics) as balancer:
            wait_until(lambda: balancer.state("fovea1") == balancer.state("fovea2") == "UP")
            with asked_all_the_time(f"127.0.0.1:{grpc}") as answered:
                wait_until(lambda: min(requests_by_outcome(one)["ok"] for one in (ending, staying)) > 20)
                ending.process.terminate()
                wait_until(lambda: balancer.state("fovea1") not in ("", "UP"))
                wait_until(lambda: balancer.told("current_sessions", "fovea1") == 0)
                ending.process.terminate()  # at the second time it ends at once
                ending.process.wait(60)
                before = len(answered)
                wait_until(lambda: len(answered) > before + 20)


def test_no_server_answers_agent_checks_unless_asked_to(running: RunningServer) -> None:
    assert " agent " not in running.ready_line


def place(server: RunningServer) -> str:
    """A server in the words of `fovea cluster`."""
    return f"{server.grpc}:{server.http_address[1]}:{server.agent[1]}"


@contextmanager
def asked_all_the_time(address: str) -> Iterator[list[int]]:
    """Two callers, one connection each; their answers are counted, and an error of theirs is raised."""
    answered: list[int] = []
    errors: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        image = grpcclient.InferInput("image", [1, 1, 4, 4], "FP32")
        image.set_data_from_numpy(np.ones((1, 1, 4, 4), np.float32))
        with grpcclient.InferenceServerClient(address) as client:
            while not (over.is_set() or errors):
                try:
                    client.infer("tiny", [image], client_timeout=60)
                    answered.append(1)
                except Exception as error:
                    errors.append(error)

    callers = [threading.Thread(target=ask) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        yield answered
    finally:
        over.set()
        for caller in callers:
            caller.join()
        assert not errors


class Healthy(BaseHTTPRequestHandler):
    """Ready, whatever is asked."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_every_server_behind_a_name_is_asked_whether_it_is_ready_and_how_much_to_send(
    fovea: Fovea, tmp_path: Path
) -> None:
    """An address stands for the name here, which needs no DNS."""
    agent = AgentCheck("127.0.0.1", 0, lambda: agent_word(True, [Load(3.0, 1.0)]))
    health = HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    grpc, http, metrics, nobody = free_ports(4)
    bound = (f"--bind-grpc={grpc}", f"--bind-http={http}", f"--bind-metrics={metrics}")
    one = f"127.0.0.1:{nobody}:{health.server_port}:{agent.port}"
    fovea("cluster", "--dns", one, "--most=3", *bound, "--output", tmp_path / "haproxy.cfg")
    with running_haproxy(tmp_path / "haproxy.cfg", metrics) as balancer:
        wait_until(lambda: balancer.told("check_code", "fovea3") == 200)
        assert [balancer.state(f"fovea{number}") for number in (1, 2, 3)] == ["UP"] * 3
        wait_until(lambda: [balancer.told("weight", f"fovea{number}") for number in (1, 2, 3)] == [25] * 3)
    agent.stop()
    health.shutdown()
    health.server_close()


def test_haproxy_sends_as_much_as_a_server_tells_it(fovea: Fovea, tmp_path: Path) -> None:
    told = {"ready": True, "waiting_s": 0.0}
    agent = AgentCheck("127.0.0.1", 0, lambda: agent_word(bool(told["ready"]), [Load(float(told["waiting_s"]), 1.0)]))
    health = HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    grpc, http, metrics, nobody = free_ports(4)
    bound = (f"--bind-grpc={grpc}", f"--bind-http={http}", f"--bind-metrics={metrics}")
    one = f"127.0.0.1:{nobody}:{health.server_port}:{agent.port}"
    fovea("cluster", one, *bound, "--output", tmp_path / "haproxy.cfg")
    with running_haproxy(tmp_path / "haproxy.cfg", metrics) as balancer:
        wait_until(lambda: balancer.told("weight", "fovea1") == 100)
        told["waiting_s"] = 3.0
        wait_until(lambda: balancer.told("weight", "fovea1") == 25)
        told["ready"] = False
        wait_until(lambda: balancer.state("fovea1") == "DRAIN")
        told["ready"] = True
        wait_until(lambda: balancer.state("fovea1") == "UP")
    agent.stop()
    health.shutdown()
    health.server_close()
