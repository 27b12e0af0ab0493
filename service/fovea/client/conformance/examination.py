"""Asks a server every case, in bounded time, and says how each ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from fovea.client.channels import Access
from fovea.client.conformance.case import NO_ANSWER, Came, Case, Result, Verdict
from fovea.client.conformance.expectations import ok
from fovea.client.conformance.grpc_extension_cases import grpc_extension_cases
from fovea.client.conformance.grpc_front import GrpcFront
from fovea.client.conformance.grpc_infer_cases import grpc_infer_cases
from fovea.client.conformance.grpc_refused_cases import grpc_refused_cases
from fovea.client.conformance.grpc_server_cases import grpc_server_cases
from fovea.client.conformance.grpc_service_cases import grpc_service_cases
from fovea.client.conformance.http_front import HttpFront
from fovea.client.conformance.http_infer_cases import http_infer_cases
from fovea.client.conformance.http_refused_cases import http_refused_cases
from fovea.client.conformance.http_server_cases import http_server_cases
from fovea.client.conformance.site import Site, over_grpc
from fovea.client.conformance.stream_cases import stream_cases
from fovea.client.conformance.subjects import find_subjects

TABLES: tuple[Callable[[Site], Iterator[Case]], ...] = (
    grpc_server_cases,
    grpc_infer_cases,
    grpc_refused_cases,
    stream_cases,
    grpc_extension_cases,
    grpc_service_cases,
    http_server_cases,
    http_infer_cases,
    http_refused_cases,
)
_PASSED_OVER = ("classification", "parameters", "schedule_policy")
"""Extensions that are parameters of a request, which who does not know them passes over."""
_PATIENCE = 5
"""After so many questions without an answer, a front is asked nothing more."""


def examine(address: str, http_address: str, model: str, timeout_s: float, access: Access) -> Iterator[Result]:
    """Every case of the server with these two fronts, about the named model or about all that it has."""
    grpc = GrpcFront(address, timeout_s, access)
    try:
        site = Site(grpc, HttpFront(http_address, timeout_s, access), find_subjects(grpc, model), _claimed(grpc))
        yield from _all(site) if site.subjects else _no_model(grpc, model)
    finally:
        grpc.close()


def _claimed(grpc: GrpcFront) -> frozenset[str]:
    came = grpc.call("ServerMetadata")
    return frozenset(came.value.extensions) if came.status == "OK" and came.value is not None else frozenset()


def _no_model(grpc: GrpcFront, model: str) -> Iterator[Result]:
    """Without a model that answers nothing more can be asked."""
    words = f"model {model}" if model else "any model of the repository's index"
    came = grpc.call("ModelMetadata", name=model) if model else grpc.call("RepositoryIndex")
    asked = f"metadata, and an inference made from them, of {words}"
    case = over_grpc("a model answers", asked, ok("outputs"), lambda: came)
    yield Result(case, Verdict.FAILED, f"no outputs; {came}")


class _Asker:
    """Asks, and remembers who does not answer and what is not offered."""

    def __init__(self, claimed: frozenset[str]) -> None:
        self._claimed = claimed
        self._silent = Counter[str]()
        self._offered: dict[tuple[str, str], bool] = {}

    def result(self, case: Case) -> Result:
        """The case's verdict. The first case of an extension decides whether that is offered."""
        part = case.front, case.extension
        if case.lacking:
            return Result(case, Verdict.SKIPPED, f"not asked: the server has not {case.lacking}")
        if case.extension and self._offered.get(part) is False:
            return Result(case, Verdict.NOT_OFFERED, "not asked")
        if self._silent[case.front] >= _PATIENCE:
            return Result(case, Verdict.FAILED, f"not asked: no answer to the {_PATIENCE} questions before")
        came = case.ask()
        self._silent[case.front] = self._silent[case.front] + 1 if came.status == NO_ANSWER else 0
        passed = _holds(case, came)
        offered = self._offered.setdefault(part, passed or not case.extension or self._is_offered(case, came))
        return Result(case, Verdict.PASSED if passed else Verdict.FAILED if offered else Verdict.NOT_OFFERED, str(came))

    def _is_offered(self, case: Case, came: Came) -> bool:
        """Whether an extension whose first case failed was meant to be there."""
        answered = came.status in ("OK", "200") and case.extension not in _PASSED_OVER
        return answered or case.extension in self._claimed


def _holds(case: Case, came: Came) -> bool:
    try:
        return case.expected.holds(came)
    except Exception:  # what came has not the form in which it is looked at
        return False


def _all(site: Site) -> Iterator[Result]:
    asker = _Asker(site.claimed)
    for table in TABLES:
        yield from map(asker.result, table(site))
