"""Well-formed callers beside what tortures a server: each answer is checked, over gRPC and over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray
from tests.servers import RunningServer, infer_request
from tests.torture.models import STEADY, STEADY_COLUMNS
from tests.torture.report import Promise, none_of

from fovea import wire

PATIENCE_S = 60.0
_PAUSE_S = 0.005
"""They are there to be answered, not to load the server."""

Row = NDArray[np.float32]
Ask = Callable[[Row], Row]


@dataclass
class Neighbours:
    """What they got."""

    answered: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def promise(self, says: str = "well-formed neighbours are answered, and rightly") -> Promise:
        """That all were answered, and rightly."""
        promise = none_of(says, self.wrong)
        return Promise(
            promise.says, f"{self.answered:,} answered; wrong {promise.found}", promise.kept and self.answered > 0
        )

    def call(self, ask: Ask, rows: np.random.Generator) -> None:
        """Ask once."""
        x = rows.standard_normal((1, STEADY_COLUMNS)).astype(np.float32)
        begun_s = time.monotonic()
        try:
            y = ask(x)
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}"[:300])
            return
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun_s)
        self.answered += 1
        if not np.array_equal(y, x + x):
            self.wrong.append(f"{x} + {x} = {y}")


def over_grpc(server: RunningServer) -> Ask:
    """`steady` on a connection of its own."""
    channel = grpc.insecure_channel(server.grpc, options=[("grpc.use_local_subchannel_pool", 1)])
    infer = channel.unary_unary(
        wire.path("ModelInfer"), response_deserializer=wire.message("ModelInferResponse").FromString
    )

    def ask(x: Row) -> Row:
        answer = infer(infer_request(STEADY, x), timeout=PATIENCE_S)
        return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(x.shape)

    return ask


def over_http(server: RunningServer) -> Ask:
    """The same over HTTP, with a connection for each request."""

    def ask(x: Row) -> Row:
        tensor = {"name": "x", "datatype": "FP32", "shape": x.shape, "data": x.tolist()}
        connection = HTTPConnection(urlsplit(server.http).netloc, timeout=PATIENCE_S)
        try:
            connection.request("POST", f"/v2/models/{STEADY}/infer", json.dumps({"inputs": [tensor]}))
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return np.array(answer["outputs"][0]["data"], np.float32).reshape(x.shape)

    return ask


@contextmanager
def neighbours(server: RunningServer) -> Iterator[Neighbours]:
    """One over gRPC and one over HTTP, calling until the end."""
    found, over = Neighbours(), threading.Event()

    def live(ask: Ask, rows: np.random.Generator) -> None:
        while not over.wait(_PAUSE_S):
            found.call(ask, rows)

    asks = (over_grpc(server), over_http(server))
    threads = [threading.Thread(target=live, args=(ask, np.random.default_rng(i))) for i, ask in enumerate(asks)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def answers_right(server: RunningServer, after_what: str) -> Promise:
    """That both fronts answer now."""
    found = Neighbours()
    for ask in (over_grpc(server), over_http(server)):
        found.call(ask, np.random.default_rng(0))
    return Promise(f"after {after_what}, the server answers right", *_told(found))


def _told(found: Neighbours) -> tuple[str, bool]:
    return "; ".join(found.wrong) or f"{found.answered} of 2", not found.wrong and found.answered == 2
