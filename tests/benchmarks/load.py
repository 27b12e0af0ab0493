"""Load from h2load, an HTTP load generator in C: it asks far less of its core than a Python client would.

It sends one body again and again. Mixed bodies come from a Python client, for models that take their time.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea import wire
from fovea.client import methods

INFER_PATH = wire.path("ModelInfer")
CLIENT_CORE = 1
IN_FLIGHT = 32
MIXED_CLIENT = Path(__file__).with_name("mixed_client.py")


class BenchmarkImpossible(Exception):
    """Something that the benchmark needs is not here."""


@dataclass(frozen=True)
class Way:
    """How requests come to a server; over gRPC, unless it is HTTP/1.1."""

    path: str = INFER_PATH
    headers: tuple[str, ...] = ("content-type: application/grpc", "te: trailers")
    http1: bool = False
    messages: int = 1
    """Requests in a body: more than one in a stream's."""


@dataclass(frozen=True)
class Traffic:
    """What is sent: one body, so many times, so many at once over so many connections."""

    body: bytes
    requests: int
    in_flight: int = IN_FLIGHT
    connections: int = 4
    way: Way = Way()

    @property
    def streams(self) -> int:
        """Requests at once on each connection."""
        return max(1, self.in_flight // self.shared_by)

    @property
    def shared_by(self) -> int:
        """Connections in use: never more than requests at once."""
        return self.in_flight if self.way.http1 else min(self.connections, self.in_flight)


@dataclass(frozen=True)
class MixedTraffic:
    """Messages without a frame that are sent in turn: so many in all, so many at once."""

    messages: tuple[bytes, ...]
    requests: int
    in_flight: int = IN_FLIGHT


@dataclass(frozen=True)
class Sample:
    """What came of it."""

    requests_per_s: float
    p50_us: float
    p99_us: float


def request_body(model: str, inputs: dict[str, NDArray[Any]]) -> bytes:
    """A ModelInferRequest in gRPC's frame: no compression, four bytes of length, message."""
    message = request_message(model, inputs)
    return b"\0" + struct.pack(">I", len(message)) + message


def request_message(model: str, inputs: dict[str, NDArray[Any]]) -> bytes:
    """A ModelInferRequest."""
    return methods.infer(model, inputs).body


def require_h2load() -> None:
    """BenchmarkImpossible tells how to get it."""
    if shutil.which("h2load") is None:
        raise BenchmarkImpossible("h2load is not here: apt-get install nghttp2-client")


def send(port: int, traffic: Traffic) -> Sample:
    """Send all requests to a port of this machine; BenchmarkImpossible where an HTTP answer is missing."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(traffic.body)
        report = subprocess.run(_command(port, traffic, body, log), capture_output=True, text=True, check=True).stdout
        latencies = np.loadtxt(log, dtype=np.int64, ndmin=2)[:, 2]
    if f"{traffic.requests} succeeded" not in report:
        raise BenchmarkImpossible(f"h2load: not every request was answered\n{report}")
    rate = re.search(r"finished in .*?, ([0-9.]+) req/s", report)
    assert rate, report
    return Sample(float(rate[1]), *(float(np.percentile(latencies, share)) for share in (50, 99)))


def send_mixed(port: int, traffic: MixedTraffic) -> Sample:
    """Send all requests to a port of this machine; BenchmarkImpossible where one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        messages = Path(folder, "messages.npz")
        np.savez(messages, *(np.frombuffer(message, np.uint8) for message in traffic.messages))
        client = ("taskset", "--cpu-list", str(CLIENT_CORE), sys.executable, str(MIXED_CLIENT))
        words = (f"127.0.0.1:{port}", INFER_PATH, str(messages), str(traffic.requests), str(traffic.in_flight))
        done = subprocess.run([*client, *words], capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkImpossible(f"the mixed client failed: {done.stderr.strip()}")
    return Sample(*json.loads(done.stdout))


def _command(port: int, traffic: Traffic, body: Path, log: Path) -> list[str]:
    return [
        *("taskset", "--cpu-list", str(CLIENT_CORE), "h2load"),
        *(f"--requests={traffic.requests}", f"--clients={traffic.shared_by}"),
        *(f"--max-concurrent-streams={traffic.streams}", f"--data={body}", f"--log-file={log}"),
        *(f"--header={header}" for header in traffic.way.headers),
        *(["--h1"] if traffic.way.http1 else []),
        f"http://127.0.0.1:{port}{traffic.way.path}",
    ]
