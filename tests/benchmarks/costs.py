"""What a request costs the server in processor time, by the way it comes in, and beside the server of another tree.

How many requests a second there are depends on what else the machine does; what one costs, much less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks import models
from tests.benchmarks.load import Traffic, Way, request_body
from tests.benchmarks.processes import FOVEA, Server, fovea_server
from tests.benchmarks.report import Finding
from tests.benchmarks.rounds import Effort, Rounds, in_turn, sized

from fovea import wire

UNARY = "gRPC"
STREAM_MESSAGES = 250
MOST_MORE = 1.03
"""Than in the other tree."""
_OURS, _OTHER = "here", "there"


@dataclass(frozen=True)
class Row:
    """One way, and what it may cost as a multiple of a gRPC call, 32 in flight; None: it is only shown."""

    traffic: Traffic
    target: float | None = None


def rows() -> Mapping[str, Row]:
    """The ways that requests come."""
    floats = np.arange(models.IDENTITY_FLOATS, dtype=np.float32)[None]
    unary = Traffic(request_body("identity", {"x": floats}), 0)
    stream = Way(wire.path("ModelStreamInfer"), messages=STREAM_MESSAGES)
    binary = _binary("identity", "x", floats)
    picture = np.random.default_rng(0).random((1, *models.PICTURE_SHAPE), dtype=np.float32)
    return {
        UNARY: Row(unary),
        "gRPC, one in flight": Row(replace(unary, in_flight=1)),
        "gRPC, in a stream": Row(Traffic(unary.body * STREAM_MESSAGES, 0, in_flight=1, way=stream), 1.3),
        "HTTP, binary": Row(binary, 2.0),
        "HTTP, binary, one in flight": Row(replace(binary, in_flight=1)),
        "HTTP, JSON of 784 floats": Row(_json("with-maps", "input", picture)),
    }


def costs(own: Path, against: Path | None, effort: Effort) -> Iterator[Finding]:
    """Of each way: its cost beside a gRPC call's, and beside its cost in the tree `against`."""
    commands = {_OURS: FOVEA} | ({_OTHER: against / ".venv/bin/fovea"} if against else {})
    every = rows()
    with ExitStack() as running:
        servers = {name: running.enter_context(fovea_server(own, command=one)) for name, one in commands.items()}
        for name, row in every.items():
            if name != UNARY:
                yield _beside_unary(name, row, every[UNARY], servers[_OURS], effort)
        if against:
            for name, row in every.items():
                yield _beside_other(name, row, servers, effort)


def _beside_unary(name: str, row: Row, unary: Row, server: Server, effort: Effort) -> Finding:
    found = in_turn({each: _cost(server, one, effort) for each, one in ((name, row), (UNARY, unary))}, effort.rounds)
    return _finding(f"processor time, {name} / {UNARY}, 32 in flight", found, name, UNARY, row.target)


def _beside_other(name: str, row: Row, servers: Mapping[str, Server], effort: Effort) -> Finding:
    found = in_turn({side: _cost(server, row, effort) for side, server in servers.items()}, effort.rounds)
    return _finding(f"processor time, {name}, here / there", found, _OURS, _OTHER, MOST_MORE)


def _finding(what: str, found: Rounds, above: str, below: str, target: float | None) -> Finding:
    details = {f"{side} µs": found.median(side) for side in (above, below)}
    return Finding(what, found.ratio(above, below), "at most", target, "x", details, found.noise(above, below))


def _cost(server: Server, row: Row, effort: Effort) -> Callable[[], float]:
    """Microseconds a request, each time that it is called."""
    return partial(_measured, server, sized(server, row.traffic, effort.seconds / 2))


def _measured(server: Server, traffic: Traffic) -> float:
    before_s = server.processor_s()
    server.send(traffic)
    return (server.processor_s() - before_s) / (traffic.requests * traffic.way.messages) * 1e6


def _binary(model: str, name: str, array: NDArray[Any]) -> Traffic:
    header = _header(name, array, {"parameters": {"binary_data_size": array.nbytes}})
    told = json.dumps(header | {"parameters": {"binary_data_output": True}}).encode()
    headers = ("content-type: application/octet-stream", f"inference-header-content-length: {len(told)}")
    return Traffic(told + array.tobytes(), 0, way=_http(model, *headers))


def _json(model: str, name: str, array: NDArray[Any]) -> Traffic:
    told = json.dumps(_header(name, array, {"data": array.ravel().tolist()})).encode()
    return Traffic(told, 0, way=_http(model, "content-type: application/json"))


def _header(name: str, array: NDArray[Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": list(array.shape), "datatype": "FP32", **rest}]}


def _http(model: str, *headers: str) -> Way:
    return Way(f"/v2/models/{model}/infer", headers, http1=True)
