"""Fuzzed messages for every RPC, and fuzzed requests over HTTP, with well-formed neighbours in flight."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from tests.raw_client import RawClient
from tests.servers import RunningServer, running_server
from tests.torture import fuzz_http
from tests.torture.effort import Run
from tests.torture.fuzz_client import SHARE, Failure, Tally, send_share
from tests.torture.fuzzed import fuzzed
from tests.torture.models import many_models
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Promise, Report, none_of
from tests.torture.right_requests import shared_region
from tests.torture.watch import census, gauge, given_back, unforeseen

_PROCESSES = 2
_MEMORY_MB = 256.0
"""Models that are loaded and let go, and a picture's or a flood's worth of buffers."""
_FLAGS = (
    *("--control-mode=explicit", "--load-models=*", "--open-rpcs=model_control,shared_memory,logging,trace"),
    *("--max-batch-rows=8", "--cache-mb=16", "--log-level=warning"),
)


def run(given: Run) -> Report:
    """Send them, with neighbours calling throughout."""
    repository = many_models(given.scratch / "repository")
    (repository / "double" / "model.toml").write_text("cache = true\n")
    flags = (given.lane, *_FLAGS, f"--trace-file={given.scratch / 'traces'}")
    with shared_region(), running_server(repository, *flags) as server, neighbours(server) as beside:
        before, begun_s = census(server), time.monotonic()
        restock = partial(_load_what_was_unloaded, server)
        grpc_tally = _sent(partial(send_share, server.grpc, given.seed), given.effort.fuzzed_messages, restock)
        http_tally = _sent(partial(fuzz_http.send_share, server.http, given.seed), given.effort.fuzzed_http, restock)
        seconds = time.monotonic() - begun_s
        promises = [
            Promise("the server lives on", f"status {server.process.poll()}", server.process.poll() is None),
            none_of("no message gets INTERNAL, or no answer in time", _told(given, grpc_tally.failures)),
            none_of("no HTTP request gets 500, or no answer in time", _told(given, http_tally.failures)),
            none_of("nothing unforeseen is logged", unforeseen(server)),
            answers_right(server, "the fuzz"),
            given_back(server, before, _MEMORY_MB, "the fuzz"),
        ]
        loads = gauge(server, "fovea_model_ready")
    figures = _figures(grpc_tally, http_tally, seconds) | {"models ready at the end": loads}
    figures["neighbours' slowest, ms"] = beside.slowest_s * 1000
    return Report("fuzz", figures, (*promises, beside.promise()))


def _sent(send: Callable[[range], Tally], messages: int, between: Callable[[], None]) -> Tally:
    """Shares by turns in several processes, until so many messages are sent."""
    tally, first = Tally(), 0
    with ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn")) as processes:
        while tally.messages < messages:
            shares = max(1, min(4 * _PROCESSES, (messages - tally.messages) // SHARE))
            for done in processes.map(send, [range(first + i * SHARE, first + (i + 1) * SHARE) for i in range(shares)]):
                tally.add(done)
            first += shares * SHARE
            between()
    return tally


def _load_what_was_unloaded(server: RunningServer) -> None:
    """Some messages unload models, and the later ones are to find them."""
    with grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)
        for entry in client("RepositoryIndex").models:
            if entry.state != "READY":
                with suppress(grpc.RpcError):  # one is damaged
                    client("RepositoryModelLoad", model_name=entry.name, timeout=60)


def _told(run: Run, failures: list[Failure]) -> list[str]:
    """Each failure in words; its messages are kept in files."""
    return [f"{failure.rpc} {failure.status} {failure.text[:200]} ({_kept(run, failure)})" for failure in failures]


def _kept(run: Run, failure: Failure) -> Path:
    """What was sent, in a folder of its own."""
    folder = run.failures / f"{failure.rpc}-{run.seed}-{failure.number}"
    folder.mkdir(parents=True, exist_ok=True)
    sent: Any = fuzz_http.fuzzed_request if failure.rpc == fuzz_http.HTTP else fuzzed
    for index, message in enumerate(sent(run.seed, failure.number).messages):
        (folder / f"{index}.bin").write_bytes(message)
    (folder / "failure.json").write_text(json.dumps(failure.__dict__, indent=2))
    return folder


def _figures(grpc_tally: Tally, http_tally: Tally, seconds: float) -> dict[str, float | str]:
    by_status: Counter[str] = Counter()
    for (_, status), count in grpc_tally.statuses.items():
        by_status[status] += count
    rpcs = len({rpc for rpc, _ in grpc_tally.statuses})
    return {
        "messages over gRPC": grpc_tally.messages,
        "RPCs": rpcs,
        "requests over HTTP": http_tally.messages,
        "messages a second": (grpc_tally.messages + http_tally.messages) / seconds,
        "gRPC statuses": _listed(by_status),
        "HTTP statuses": _listed(Counter({status: count for (_, status), count in http_tally.statuses.items()})),
        "slowest over gRPC, s": grpc_tally.slowest_s,
        "slowest over HTTP, s": http_tally.slowest_s,
    }


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
