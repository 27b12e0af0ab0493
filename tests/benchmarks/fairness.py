"""Whether a model is hurt by a flood on its neighbours: all share one core.

Every model runs on threads of its own, and the operating system shares the core among them. Turns were tried, a batch
at a time, the model first that has used the core least: a quiet model then waits for a batch of a neighbour, 115 to
160 ms at the 99th percentile in place of 16 to 20.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree

from tests.benchmarks import models
from tests.benchmarks.load import IN_FLIGHT, Traffic
from tests.benchmarks.processes import Server, fovea_server
from tests.benchmarks.report import Finding
from tests.benchmarks.rounds import Effort, sized

from fovea.client import Client

FLOODED = ("flooded-1", "flooded-2", "flooded-3")
QUIET = "quiet"
_FLOOD_FOR = 4
"""Times as long as the quiet model is measured: the flood is there before it, and after."""


def flood_on_neighbours(quiet: Path, flooded: Path, repository: Path, effort: Effort) -> Finding:
    """99th percentile of one model's latency, one request at a time, while three others are flooded."""
    copytree(quiet, repository / QUIET)
    for name in FLOODED:
        copytree(flooded, repository / name)
    with fovea_server(repository) as server:
        batch_us = _longest_batch_s(server) * 1e6
        asked = sized(server, Traffic(models.picture_request(QUIET), 0, 1), effort.seconds)
        alone_us = server.send(asked).p99_us
        with _flood(server, effort.seconds * _FLOOD_FOR):
            beside_us = server.send(replace(asked, requests=asked.requests // 8), alone=False).p99_us
    details = {"alone µs": alone_us, "beside the flood µs": beside_us, "longest batch µs": batch_us}
    name = f"p99, fashion-cbam beside {len(FLOODED)} flooded models / p99 alone + 2 of the longest batches"
    return Finding(name, beside_us / (alone_us + 2 * batch_us), "at most", 1.0, "x", details)


@contextmanager
def _flood(server: Server, seconds: float) -> Iterator[None]:
    """As many requests in flight on each neighbour as make full batches, for about that long."""
    rate = server.send(Traffic(models.picture_request(FLOODED[0]), 4 * IN_FLIGHT)).requests_per_s
    floods = [
        Traffic(models.picture_request(name), int(rate * seconds / len(FLOODED)), 2 * IN_FLIGHT) for name in FLOODED
    ]
    with ThreadPoolExecutor(len(floods)) as pool:
        sent = [pool.submit(server.send, flood, alone=False) for flood in floods]
        yield
        for one in sent:
            one.result()


def _longest_batch_s(server: Server) -> float:
    """Of all models, as they batch."""
    with Client(f"127.0.0.1:{server.grpc_port}") as client:
        costs = [client.metadata(name).properties["batch_cost"] for name in (QUIET, *FLOODED)]
    curves = [curve for cost in costs for curve in json.loads(cost)]
    return max(curve["seconds"][str(curve["worthwhile_rows"])] for curve in curves)
