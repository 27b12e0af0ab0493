"""Ten minutes at seven tenths of what the server can do, beside callers who err, leave and come anew: nothing grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import grpc
import numpy as np
from tests.servers import RunningServer, running_server
from tests.torture import http2
from tests.torture.callers_leaving import REQUESTS
from tests.torture.effort import Run
from tests.torture.models import heavy_model, steady_model
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.open_loop import Offered, capacity, in_a_process, offer, poisson
from tests.torture.report import Promise, Report, at_most, none_of
from tests.torture.watch import Census, census, unforeseen

from fovea import wire

_LOAD = 0.7
_CONVOLUTIONS = 2
_MEASURED_S = 5.0
_MINUTE_S = 60.0
_SHARE = 0.1
"""Of all looks: the first that count, and as many at the end. In ten minutes that is a minute each."""
_GROWTH = 1.05
_GROWTH_MB = 16.0
"""Of a small process five percent are less than what an allocator moves to and fro."""
_PARTS = 6
_STEADY_MB = 8.0
"""In all, about 25 bytes a request. What callers leave behind adds up in every part of the soak, what an allocator
takes at once in one. Beside other work, with a queue that came and went, six minutes without a leak gave 5 MB less."""
_FEW = 8
_SLOWER = 1.2
_PAUSE_S = 0.1


def run(given: Run) -> Report:
    """Load from a process of its own; ten times a second one odd caller, and a look at the server."""
    repository = heavy_model(steady_model(given.scratch), _CONVOLUTIONS)
    with running_server(repository, "--threads=1", "--log-level=warning") as server:
        best = in_a_process(capacity, server.grpc, _MEASURED_S)
        schedule = _alike_minutes(_LOAD * best, given.effort.soak_s, given.seed)
        with neighbours(server) as beside, ThreadPoolExecutor(1) as aside:
            offering = aside.submit(in_a_process, offer, server.grpc, schedule)
            looks = _looks(server, offering)
            offered = offering.result()
        promises = (
            *_nothing_grows(looks),
            _no_steady_growth([look.resident_mb for look in looks], given.effort.judged_by_time),
            _no_slower(offered, given.effort.soak_s, given.effort.judged_by_time),
            none_of("every request is answered", _unanswered(offered, len(schedule))),
            none_of("answers are right", offered.wrong()),
            none_of("nothing unforeseen is logged", unforeseen(server)),
            answers_right(server, "the soak"),
            beside.promise(),
        )
    figures: dict[str, float | str] = {
        "best, rows/s": best,
        "offered, requests/s": len(schedule) / given.effort.soak_s,
        "requests": len(schedule),
        "odd callers beside": len(looks),
        "p50, ms": 1000 * statistics.median(offered.took_s("OK")),
        "p99, ms": float(1000 * np.percentile(offered.took_s("OK"), 99)),
    }
    return Report("soak", figures, promises)


def _alike_minutes(rate: float, seconds: float, seed: int) -> list[float]:
    """Each minute's requests come at the same moments, so that the minutes can be compared."""
    minutes = int(-(-seconds // _MINUTE_S))
    minute = poisson(rate, min(seconds, _MINUTE_S), Random(seed))
    moments = [index * _MINUTE_S + moment for index in range(minutes) for moment in minute]
    return [moment for moment in moments if moment < seconds]


def _looks(server: RunningServer, offering: Future[Any]) -> list[Census]:
    """At the process, until the load has ended; before each look an odd caller."""
    looks = []
    with grpc.insecure_channel(server.grpc) as channel:
        odd = _odd_callers(server, channel.unary_unary(wire.path("ModelInfer")))
        while not offering.done():
            odd[len(looks) % len(odd)]()
            looks.append(census(server))
            wait([offering], timeout=_PAUSE_S)
    return looks


def _odd_callers(server: RunningServer, infer: Any) -> list[Callable[[], None]]:
    def garbage() -> None:
        with suppress(grpc.RpcError):
            infer(b"\xff", timeout=_MINUTE_S)

    def unknown_model() -> None:
        with suppress(grpc.RpcError):
            infer(wire.message("ModelInferRequest")(model_name="nope").SerializeToString(), timeout=_MINUTE_S)

    def cancelling() -> None:
        infer.future(REQUESTS[0], timeout=_MINUTE_S).cancel()

    def vanishing() -> None:
        connection = http2.connect(server.grpc)
        connection.sendall(http2.OPENING + http2.call(wire.path("ModelInfer"), REQUESTS[0]))
        http2.vanish(connection)

    return [garbage, unknown_model, cancelling, vanishing]


def _nothing_grows(looks: Sequence[Census]) -> list[Promise]:
    """Early looks, but for the very first, against as many at the end."""
    count = max(1, int(_SHARE * len(looks)))
    early, late = looks[count : 2 * count], looks[-count:]

    def medians(of: Callable[[Census], float]) -> tuple[float, float]:
        return statistics.median(map(of, early)), statistics.median(map(of, late))

    memory, later_memory = medians(lambda look: look.resident_mb)
    descriptors, later_descriptors = medians(lambda look: look.descriptors)
    threads, later_threads = medians(lambda look: look.threads)
    return [
        at_most("memory at the end", later_memory, max(memory * _GROWTH, memory + _GROWTH_MB), "MB"),
        at_most("descriptors at the end", later_descriptors, descriptors + _FEW),
        at_most("threads at the end", later_threads, threads + _FEW),
    ]


def _no_steady_growth(resident_mb: Sequence[float], judged: bool) -> Promise:
    later = resident_mb[int(_SHARE * len(resident_mb)) :]
    return at_most("steady growth of memory", steady_growth(later, _PARTS), _STEADY_MB, "MB", judged)


def steady_growth(values: Sequence[float], parts: int) -> float:
    """What the values would grow by in all if they grew from every part to the next as they did in the middling case.

    One step, up or down, does not count.
    """
    levels = [statistics.median(part) for part in np.array_split(np.asarray(values), parts) if part.size]
    return (len(levels) - 1) * statistics.median(b - a for a, b in pairwise(levels))


def _no_slower(offered: Offered, seconds: float, judged: bool) -> Promise:
    span_s = min(_MINUTE_S, seconds / 2)
    first = 1000 * float(np.percentile(offered.took_s("OK", 0, span_s), 99))
    last = 1000 * float(np.percentile(offered.took_s("OK", seconds - span_s), 99))
    return at_most("p99 of the last minute, against the first", last, _SLOWER * first, "ms", judged)


def _unanswered(offered: Offered, sent: int) -> list[str]:
    failed = [f"{count} {status}" for status, count in offered.statuses().items() if status != "OK"]
    lost = sent - len(offered.answers)
    return failed + ([f"{lost} nothing"] if lost else [])
