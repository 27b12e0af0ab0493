"""Five times as much as the server can do: what it does stays nearly the same, the rest is refused at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from random import Random

import numpy as np
from tests.servers import RunningServer, running_server
from tests.torture.effort import Run
from tests.torture.models import HEAVY, convolutions_for, heavy_model, steady_model
from tests.torture.neighbours import answers_right
from tests.torture.open_loop import Offered, capacity, in_a_process, offer, poisson
from tests.torture.report import Report, at_least, at_most, none_of
from tests.torture.watch import census, gauge, given_back, peak_memory, unforeseen

_TIMES = 5.0
_QUEUE = 32
_ROW_S = 0.01
"""What a row takes. Much less, and the client, which is Python, would be the one that is overloaded."""
_LEAST_GOODPUT = 0.8
_REFUSED_WITHIN_MS = 50.0
_MOST_MB = 128.0
_RECOVERED_WITHIN_S = 1.0
_MEASURED_S = 5.0
_LOOK_S = 0.25


def run(given: Run) -> Report:
    """Measure what it can do, offer five times that, and see what becomes of it."""
    repository = heavy_model(steady_model(given.scratch), convolutions_for(_ROW_S))
    flags = ("--threads=1", f"--max-queue={_QUEUE}", "--log-level=warning")
    with running_server(repository, *flags) as server:
        best = in_a_process(capacity, server.grpc, _MEASURED_S)
        before = census(server)
        schedule = poisson(_TIMES * best, given.effort.overload_s, Random(given.seed))
        with peak_memory(server) as peak:
            offered, longest_queue = _offered(server, schedule)
        judged = given.effort.judged_by_time
        answered = len(offered.took_s("OK")) / given.effort.overload_s
        refused_ms = 1000 * np.array(offered.took_s("UNAVAILABLE") or [0.0])
        promises = (
            at_least("of the best, goodput keeps", answered / best, _LEAST_GOODPUT, judged=judged),
            at_most("requests that wait", longest_queue, _QUEUE),
            at_most("refusals, p99", float(np.percentile(refused_ms, 99)), _REFUSED_WITHIN_MS, "ms", judged),
            none_of("every request is answered or refused", _neither(offered, len(schedule))),
            none_of("answers are right", offered.wrong()),
            at_most("memory", peak.grown_mb, _MOST_MB, "MB more"),
            at_most("it recovers", offered.recovered_s, _RECOVERED_WITHIN_S, "s", judged),
            none_of("nothing unforeseen is logged", unforeseen(server)),
            answers_right(server, "overload"),
            given_back(server, before, _MOST_MB, "overload"),
        )
    figures: dict[str, float | str] = {
        "best, rows/s": best,
        "a row, ms": 1000 / best,
        "offered, requests/s": len(schedule) / given.effort.overload_s,
        "answered, rows/s": answered,
        "answered": offered.statuses()["OK"],
        "refused": offered.statuses()["UNAVAILABLE"],
        "answers, p99, ms": float(1000 * np.percentile(offered.took_s("OK"), 99)),
    }
    return Report("overload", figures, promises)


def _offered(server: RunningServer, schedule: list[float]) -> tuple[Offered, float]:
    """What came of it, and the longest queue that was seen."""
    longest = 0.0
    with ThreadPoolExecutor(1) as aside:
        offering = aside.submit(in_a_process, offer, server.grpc, schedule, True)
        while not offering.done():
            longest = max(longest, gauge(server, "fovea_waiting_requests", model=HEAVY))
            wait([offering], timeout=_LOOK_S)
    return offering.result(), longest


def _neither(offered: Offered, sent: int) -> list[str]:
    """What got neither an answer nor a refusal."""
    others = [f"{n} {status}" for status, n in offered.statuses().items() if status not in ("OK", "UNAVAILABLE")]
    lost = sent - len(offered.answers)
    return others + ([f"{lost} nothing"] if lost else [])
