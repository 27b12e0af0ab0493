"""Callers that leave before their answer comes: by a cancel, by a dropped connection, by a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

import grpc
import numpy as np
from tests.servers import RunningServer, infer_request
from tests.torture import http2
from tests.torture.models import HEAVY, HEAVY_COLUMNS, STEADY, STEADY_COLUMNS

from fovea import wire

REQUESTS = (
    infer_request(HEAVY, np.ones((1, HEAVY_COLUMNS), np.float32)),
    infer_request(STEADY, np.ones((1, STEADY_COLUMNS), np.float32)),
)
PATIENCE_S = 120.0
_AT_ONCE = 100
_LONGEST_S = 0.1
_CALLS_EACH = 50
"""Of a process that is killed."""


def cancelling(server: RunningServer, count: int, random: Random) -> tuple[Mapping[str, float | str], list[str]]:
    """Each cancels within 0.1 s, at a moment of its own; some have their answer by then."""
    outcomes: Counter[str] = Counter()
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary(wire.path("ModelInfer"))
        for _ in range(count // _AT_ONCE):
            begun_s = time.monotonic()
            calls = [infer.future(random.choice(REQUESTS), timeout=PATIENCE_S) for _ in range(_AT_ONCE)]
            for due_s, call in sorted(((random.uniform(0, _LONGEST_S), c) for c in calls), key=lambda pair: pair[0]):
                time.sleep(max(0.0, begun_s + due_s - time.monotonic()))
                call.cancel()
            outcomes.update(map(_outcome, calls))
    unexpected = [f"{count} {status}" for status, count in outcomes.items() if status not in ("OK", "CANCELLED")]
    return {"cancelled": outcomes["CANCELLED"], "answered before they cancelled": outcomes["OK"]}, unexpected


def _outcome(call: Any) -> str:
    try:
        call.result()
    except grpc.FutureCancelledError:
        return "CANCELLED"
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def vanishing(server: RunningServer, count: int, random: Random) -> tuple[Mapping[str, float | str], list[str]]:
    """Each has a connection of its own and drops it, in the middle of its request or after; half of them by a reset."""
    whole = 0
    for _ in range(count):
        sent = http2.OPENING + http2.call(wire.path("ModelInfer"), random.choice(REQUESTS))
        upto = random.choice([len(sent), random.randint(0, len(sent))])
        connection = http2.connect(server.grpc)
        connection.sendall(sent[:upto])
        time.sleep(random.choice([0, random.uniform(0, 0.01)]))
        http2.vanish(connection) if random.random() < 0.5 else connection.close()
        whole += upto == len(sent)
    return {"vanished": count, "vanished after a whole request": whole}, []


def resetting(server: RunningServer, count: int) -> tuple[Mapping[str, float | str], list[str]]:
    """One connection that takes back each call as soon as it is made: HTTP/2's rapid reset."""
    sent = 0
    with http2.connect(server.grpc) as connection, suppress(OSError):  # the server may well end it
        connection.sendall(http2.OPENING)
        for stream in range(1, 2 * count, 2):
            call = http2.call(wire.path("ModelInfer"), REQUESTS[1], stream)
            connection.sendall(call + http2.reset(stream))
            sent += 1
    return {"calls taken back at once": sent}, []


def killed(server: RunningServer, count: int) -> tuple[Mapping[str, float | str], list[str]]:
    """Processes with calls in flight get SIGKILL."""
    processes = -(-count // _CALLS_EACH)
    command = [sys.executable, "-m", "tests.torture.killed_caller", server.grpc, str(_CALLS_EACH)]
    for _ in range(processes):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
            assert caller.stdout is not None
            begun = caller.stdout.readline()
            caller.kill()
        if not begun:
            return {}, ["a process of callers did not start"]
    return {"killed with calls in flight": processes * _CALLS_EACH}, []
