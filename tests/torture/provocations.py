"""What makes alerts fire: each holds a server in a bad state, by a fault of its surroundings or of its callers."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
from tests.certificates import Certificate, authority, signed
from tests.encoder_model import write_encoder
from tests.kernel_builds import tiny_library
from tests.prometheus_servers import TARGETS
from tests.servers import RunningServer, infer_request, running_server
from tests.torture.models import EXPORTED, HEAVY, HEAVY_COLUMNS, heavy_model, steady_model

from fovea import wire

_CONVOLUTIONS = 30
_FLOOD_PER_S, _BURSTS_PER_S = 100.0, 3.0
_BURST = (1, 1, 1, 1, 1, 1, 1, 32) * 12
"""Lengths of sentences."""
_MOST_WAITING = 300
_LONG_S = 300.0
_HEALTHY_DAYS, _FEW_DAYS = 90, 2
_ENCODER = "encoder"
_LENGTHS = """
[sequence]
inputs = {tokens = 1}
outputs = {hidden = [1], probabilities = [2, 3]}
mask = "mask"
buckets = [32]
"""


class LogReader:
    """Reads a server's log from a small pipe, and pauses when it is told to."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
        self.reads = threading.Event()
        self.reads.set()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.reads.wait() and os.read(self._read, select.PIPE_BUF):
            pass


@dataclass(frozen=True)
class Target:
    """A server, and what is around it."""

    server: RunningServer
    repository: Path
    authority: Certificate
    own: Certificate
    """The files that the server reads; `scratch` has room for others."""
    scratch: Path
    prometheus: Path
    """The folder of the Prometheus that looks at it."""
    log: LogReader = field(default_factory=LogReader)

    @contextmanager
    def asked(self, per_second: float, *requests: bytes) -> Iterator[None]:
        """Somebody sends these requests so often, and waits for no answer."""
        over = threading.Event()
        trusted = grpc.ssl_channel_credentials(self.authority.cert.read_bytes())
        with grpc.secure_channel(self.server.grpc.replace("127.0.0.1", "localhost"), trusted) as channel:
            infer = channel.unary_unary(wire.path("ModelInfer"))
            calls = []

            def send() -> None:
                while not over.wait(1 / per_second):
                    calls.extend(infer.future(request, timeout=_LONG_S) for request in requests)

            thread = threading.Thread(target=send)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                for call in calls:
                    call.cancel()


@contextmanager
def running_target(scratch: Path, prometheus: Path) -> Iterator[Target]:
    """A server over TLS that nothing is wrong with."""
    repository = heavy_model(steady_model(scratch / "models"), _CONVOLUTIONS)
    write_encoder(repository / _ENCODER / "1" / "model.onnx")
    (repository / _ENCODER / "model.toml").write_text(_LENGTHS)
    trusted = authority(scratch)
    own, log = signed(trusted, "localhost", scratch, _HEALTHY_DAYS), LogReader()
    flags = (
        *(
            f"--tls-cert={own.cert}",
            f"--tls-key={own.key}",
            f"--kernel-library={tiny_library(scratch, 'CRASH_ON_LOAD')}",
        ),
        *("--control-mode=poll", "--poll-s=0.2", "--ready-when=any", "--log-level=debug", "--threads=1"),
        f"--max-queue={_MOST_WAITING}",
    )
    with running_server(repository, *flags, errors_to=log.write) as server:
        yield Target(server, repository, trusted, own, scratch, prometheus, log)
        log.reads.set()


@contextmanager
def _broken_model(target: Target) -> Iterator[None]:
    folder = target.repository / "broken"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"no model")
    yield
    shutil.rmtree(folder)


@contextmanager
def _crashing_kernels(target: Target) -> Iterator[None]:
    folder = target.repository / "fashion-simam"
    shutil.copytree(EXPORTED / folder.name, folder)
    yield
    shutil.rmtree(folder)


@contextmanager
def _certificate_of_few_days(target: Target) -> Iterator[None]:
    for days in (_FEW_DAYS, _HEALTHY_DAYS):
        folder = target.scratch / f"{days} days"
        folder.mkdir()
        made = signed(target.authority, "localhost", folder, days)
        shutil.copyfile(made.key, target.own.key)
        shutil.copyfile(made.cert, target.own.cert)
        if days == _FEW_DAYS:
            yield


@contextmanager
def _unread_log(target: Target) -> Iterator[None]:
    """Each call is refused, and a line."""
    target.log.reads.clear()
    with target.asked(_FLOOD_PER_S, infer_request("unknown", np.ones((1, 1), np.float32))):
        yield
    target.log.reads.set()


@contextmanager
def _padded_rows(target: Target) -> Iterator[None]:
    """Short sentences and a few long ones come at once, so that they share batches."""
    with target.asked(_BURSTS_PER_S, *map(_sentence, _BURST)):
        yield


def _sentence(length: int) -> bytes:
    tokens = {"name": "tokens", "datatype": "INT64", "shape": [1, length]}
    values = np.ones(length, np.int64).tobytes()
    message = wire.message("ModelInferRequest")(model_name=_ENCODER, inputs=[tokens], raw_input_contents=[values])
    return bytes(message.SerializeToString())


@contextmanager
def _flood(target: Target) -> Iterator[None]:
    """Several times what the server can do: requests wait, then they are late; soon the queue is full, and stays so."""
    with target.asked(_FLOOD_PER_S, infer_request(HEAVY, np.ones((1, HEAVY_COLUMNS), np.float32))):
        yield


@contextmanager
def _standstill(target: Target) -> Iterator[None]:
    target.server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            target.server.process.send_signal(signal.SIGCONT)


@contextmanager
def _no_target(target: Target) -> Iterator[None]:
    """Prometheus finds no server."""
    file = target.prometheus / TARGETS
    found = file.read_text()
    file.write_text("[]")
    yield
    file.write_text(found)


Provocation = Callable[[Target], AbstractContextManager[None]]
_LATE_AND_LOST = (
    "FoveaFailuresBurnFast",
    "FoveaFailuresBurnSlowly",
    "FoveaSlownessBurnsFast",
    "FoveaSlownessBurnsSlowly",
    "FoveaFailuresBurnForDays",
    "FoveaSlownessBurnsForDays",
)
STATES: dict[Provocation, tuple[str, ...]] = {
    _broken_model: ("FoveaModelNotReady",),
    _crashing_kernels: ("FoveaKernelsFellBack",),
    _certificate_of_few_days: ("FoveaCertificateEndsSoon",),
    _unread_log: ("FoveaLogLinesLost",),
}
LOAD: dict[Provocation, tuple[str, ...]] = {
    _padded_rows: ("FoveaPaddingWaste",),
    _flood: ("FoveaQueueGrows", *_LATE_AND_LOST),
}
STANDSTILL: dict[Provocation, tuple[str, ...]] = {_standstill: ("FoveaDown",)}
ABSENCE: dict[Provocation, tuple[str, ...]] = {_no_target: ("FoveaNoServer",)}
"""What provokes -> the alerts that fire of it."""
