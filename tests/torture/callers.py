"""Callers that cancel, vanish, do not read, say nothing or say too much: after each, the server is as it was before."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.servers import RunningServer, running_server
from tests.torture.callers_asking import huge_shape, requests_in_one_go, scrapers
from tests.torture.callers_holding import idle_connections, slow_readers
from tests.torture.callers_leaving import cancelling, killed, resetting, vanishing
from tests.torture.callers_talking import at_the_limits, header_bombs
from tests.torture.callers_waiting import half_messages, silent_calls
from tests.torture.effort import Run
from tests.torture.frame_floods import frame_floods
from tests.torture.models import heavy_model, steady_model, sum_model, wide_model
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Promise, Report, none_of
from tests.torture.watch import census, given_back, unforeseen

_MEMORY_MB = 128.0
"""What allocators keep of the answers and headers that were held at once."""
_LIMIT_MB = 1
_QUEUE_MB = 64
_FLAGS = (f"--max-message-mb={_LIMIT_MB}", f"--max-queue-mb={_QUEUE_MB}", "--log-level=warning")
_CONVOLUTIONS = 1
_RESETS = 20_000
_USUAL_DESCRIPTORS = 1024
"""Where a server begins on most systems: it has to see to more by itself."""

Figures = Mapping[str, float | str]


@dataclass(frozen=True)
class Step:
    """A kind of caller: tries it, and gives figures and the complaints that there are."""

    what: str
    tried: Callable[[RunningServer], tuple[Figures, list[str]]]


def run(given: Run) -> Report:
    """One kind after another, neighbours calling throughout."""
    repository = heavy_model(steady_model(given.scratch), _CONVOLUTIONS)
    wide_model(sum_model(repository))
    figures: dict[str, float | str] = {}
    promises: list[Promise] = []
    _own_descriptors(_USUAL_DESCRIPTORS)
    with running_server(repository, given.lane, *_FLAGS) as server, neighbours(server) as beside:
        _own_descriptors(_hard_limit())
        for step in _steps(given):
            before = census(server)
            found, complaints = step.tried(server)
            figures |= found
            promises.append(none_of(f"{step.what}: nothing unexpected", complaints))
            promises.append(answers_right(server, step.what))
            promises.append(given_back(server, before, _MEMORY_MB, step.what))
        promises.append(none_of("nothing unforeseen is logged", unforeseen(server)))
    figures["neighbours' slowest, ms"] = beside.slowest_s * 1000
    return Report("callers", figures, (*promises, beside.promise()))


def _steps(given: Run) -> list[Step]:
    """Of the callers, six in ten cancel, three drop their connection, and one in ten is killed."""
    effort, random = given.effort, Random(given.seed)
    tenth = effort.callers // 10
    half = partial(half_messages, limit=_LIMIT_MB << 20, all_mb=_QUEUE_MB)
    only_fast = [Step("half messages", half), Step("frames that mean nothing", frame_floods)]
    return [
        Step("callers that cancel", partial(cancelling, count=6 * tenth, random=random)),
        Step("callers that vanish", partial(vanishing, count=3 * tenth, random=random)),
        Step("callers that are killed", partial(killed, count=tenth)),
        Step("rapid resets", partial(resetting, count=_RESETS)),
        Step("slow readers", slow_readers),
        Step("slow readers once more", slow_readers),
        Step("idle connections", partial(idle_connections, count=effort.idle_connections)),
        Step("header bombs", header_bombs),
        Step("scrapers", scrapers),
        Step("a huge shape", huge_shape),
        Step("requests in one go", requests_in_one_go),
        Step("messages at the limit and above", partial(at_the_limits, limit=_LIMIT_MB << 20)),
        Step("calls that say nothing", silent_calls),
        *(only_fast if given.lane == "--fast-lane" else []),
    ]


def _own_descriptors(soft: int) -> None:
    """How many this process may open, and those that it starts begin with."""
    hard = _hard_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))


def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
