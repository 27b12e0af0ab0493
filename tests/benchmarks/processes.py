"""The processes that are measured, each pinned to its core: the server that ships, a bare echo, a plain loop."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.load import BenchmarkImpossible, MixedTraffic, Sample, Traffic, send, send_mixed

SERVER_CORE = 0
FOVEA = Path(sys.executable).with_name("fovea")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """A running `fovea serve`."""

    pid: int
    grpc_port: int
    http_port: int
    metrics_port: int
    start_s: float
    ready_line: str

    def send(self, traffic: Traffic | MixedTraffic, *, alone: bool = True) -> Sample:
        """Send, and hold the server's own counters against what was sent: h2load sees no gRPC status.

        Where others send at the same time (not `alone`), their counters would be in the way.
        """
        before = self.answered()
        if isinstance(traffic, MixedTraffic):
            requests, sample = traffic.requests, send_mixed(self.grpc_port, traffic)
        else:
            requests = traffic.requests * traffic.way.messages
            sample = send(self.http_port if traffic.way.http1 else self.grpc_port, traffic)
        if not alone:
            return sample
        missing = requests - self._settled(before + requests) + before
        if missing:
            raise BenchmarkImpossible(f"{missing:.0f} of {requests} requests were not answered with success")
        return sample

    def answered(self) -> float:
        """Requests answered with success since the start."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(r'^fovea_requests_total\{.*outcome="ok".*\} (\S+)$', text, re.MULTILINE)))

    def processor_s(self) -> float:
        """Processor time of all its threads, those that have ended too."""
        return time.clock_gettime(~self.pid << 3 | 2)  # clock_getcpuclockid(3), which Python does not have

    def resident_mb(self) -> float:
        """Resident memory now."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024

    def _settled(self, expected: float) -> float:
        """The counter, once it is there: it is written after callers are answered."""
        until = time.monotonic() + 5
        while (now := self.answered()) != expected and time.monotonic() < until:
            time.sleep(0.02)
        return now


@contextmanager
def fovea_server(
    repository: Path, *, pinned: bool = True, flags: Sequence[str] = (), command: Path = FOVEA
) -> Iterator[Server]:
    """`fovea serve` on free ports, on the server's core or on all; ends with the block."""
    ports = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")
    words = [str(command), "serve", f"--repository={repository}", *ports, "--log-level=error", *flags]
    begun = time.perf_counter()
    with _process([*_pin(pinned), *words]) as (process, line):
        start_s = time.perf_counter() - begun
        yield Server(process.pid, *(_port(of, line) for of in ("gRPC", "HTTP", "metrics")), start_s, line)


@contextmanager
def echo_server() -> Iterator[int]:
    """A bare `grpc.aio` server that answers with the bytes it was sent; its port."""
    with _process([*_pin(True), sys.executable, str(HERE / "echo_server.py")]) as (_, line):
        yield int(line)


def plain_loop(
    model: Path, input_name: str, shape: Sequence[int], batches: Sequence[int], seconds: float
) -> dict[int, float]:
    """Rows a second of a loop over `InferenceSession.run`, per batch size, in a process of its own on one core."""
    words = [str(model), input_name, json.dumps(list(shape)), json.dumps(list(batches)), str(seconds)]
    command = [*_pin(True), sys.executable, str(HERE / "plain_loop.py"), *words]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {int(rows): rate for rows, rate in report.items()}


@contextmanager
def _process(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it, wait for its first line, end it with SIGTERM."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise BenchmarkImpossible(f"{' '.join(command)} did not start")
        yield process, line
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _pin(pinned: bool) -> list[str]:
    return ["taskset", "--cpu-list", str(SERVER_CORE)] if pinned else []


def _port(of: str, ready_line: str) -> int:
    found = re.search(rf"{of} \S+:(\d+),", ready_line)
    if found is None:
        raise BenchmarkImpossible(f"no port of {of} in {ready_line!r}")
    return int(found[1])
