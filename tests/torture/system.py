"""What a system does to a server: no room for its logs, a clock that jumps, a kernel library that crashes, SIGKILL."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
from pathlib import Path

import grpc
import numpy as np
from tests.kernel_builds import tiny_library
from tests.servers import RunningServer, infer_request, running_server
from tests.torture.effort import Run
from tests.torture.models import EXPORTED, steady_model
from tests.torture.neighbours import Neighbours, answers_right, neighbours
from tests.torture.report import Promise, Report
from tests.torture.restarts import restarts
from tests.torture.watch import settles

from fovea import wire

_SHIM = Path(__file__).with_name("wall_clock.c")
_DAY_S = 86_400
_JUMPS_S = (3, _DAY_S, -_DAY_S, 365 * _DAY_S, 0)
_DEADLINE_S = 20.0
_KERNELS_MODEL = "fashion-simam"


def run(given: Run) -> Report:
    """One after the other, each on a server of its own."""
    figures: dict[str, float | str] = {}
    promises: list[Promise] = []
    for tried in (_full_log_disk, _reader_of_logs_gone, _reader_of_logs_stopped, _clock_jumps, _crashing_kernels):
        promises += tried(given)
    restarted, kept = restarts(given)
    return Report("system", figures | restarted, (*promises, *kept))


def _full_log_disk(run: Run) -> list[Promise]:
    """Every write to /dev/full ends as on a full disk."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        return _without_logs(run, full, "a full disk for logs")
    finally:
        os.close(full)


def _reader_of_logs_gone(run: Run) -> list[Promise]:
    """Every write gets EPIPE."""
    read, write = os.pipe()
    os.close(read)
    try:
        return _without_logs(run, write, "a reader of the logs that is gone")
    finally:
        os.close(write)


def _reader_of_logs_stopped(run: Run) -> list[Promise]:
    """A pipe with room for some of the lines, which nobody reads."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    try:
        return _without_logs(run, write, "a reader of the logs that has stopped")
    finally:
        os.close(write)
        os.close(read)


def _without_logs(run: Run, errors_to: int, what: str) -> list[Promise]:
    repository = _repository(run, what)
    with running_server(repository, "--log-level=debug", errors_to=errors_to) as server:
        with neighbours(server) as beside:
            refused = _refused_calls(server)
        right = answers_right(server, what)
        status = server.terminate()
    return [
        right,
        Promise(f"with {what}, refusals are told", f"{refused} of 100", refused == 100),
        Promise(f"with {what}, SIGTERM ends it with status 0", f"status {status}", status == 0),
        beside.promise(f"with {what}, neighbours are answered, and rightly"),
    ]


def _refused_calls(server: RunningServer) -> int:
    """How many of 100 bad calls, each of which is a line in the log, are told why."""
    told, request = 0, infer_request("unknown", np.ones((1, 1), np.float32))
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(wire.path("ModelInfer"))
        for _ in range(100):
            try:
                infer(request, timeout=_DEADLINE_S)
            except grpc.RpcError as error:
                told += error.code() == grpc.StatusCode.NOT_FOUND
    return told


def _clock_jumps(run: Run) -> list[Promise]:
    """The wall clock, as the server sees it, jumps by seconds, a day, back, and a year."""
    says = "when the clock jumps, callers with a deadline are answered, and rightly"
    shim = run.scratch / "wall_clock.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return [Promise(says, "not tried: there is no C compiler", None)]
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", shim, _SHIM, "-ldl"], check=True)
    clock = run.scratch / "clock.bin"
    _set(clock, 0)
    seen = {"LD_PRELOAD": str(shim), "FOVEA_TEST_CLOCK": str(clock)}
    with running_server(_repository(run, "clock"), environment=seen) as server, neighbours(server) as beside:
        for jump_s in _JUMPS_S:
            _set(clock, jump_s)
            _wait_for_some(beside, 50)
        right = answers_right(server, f"{len(_JUMPS_S)} jumps of the clock")
    return [right, beside.promise(says)]


def _set(clock: Path, jump_s: int) -> None:
    """In place: the server has the file in its memory."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("q", jump_s))


def _wait_for_some(beside: Neighbours, more: int) -> None:
    goal = beside.answered + more
    settles(lambda: beside.answered >= goal)


def _crashing_kernels(run: Run) -> list[Promise]:
    """A library that ends the process that loads it."""
    library = tiny_library(run.scratch, "CRASH_ON_LOAD")
    repository = _repository(run, "kernels")
    shutil.copytree(EXPORTED / _KERNELS_MODEL, repository / _KERNELS_MODEL)
    with running_server(repository, f"--kernel-library={library}") as server:
        served = _KERNELS_MODEL in server.ready_line and "the process that tried them ended" in server.ready_line
        says = "a kernel library that crashes on load costs its kernels only, and the ready line tells"
        return [
            answers_right(server, "a kernel library that crashes"),
            Promise(says, server.ready_line.strip(), served),
        ]


def _repository(run: Run, name: str) -> Path:
    return steady_model(run.scratch / name)
