"""The server that is asked: its two fronts, and its models that answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fovea.client.conformance.case import Came, Case, Expected
from fovea.client.conformance.grpc_front import GrpcFront
from fovea.client.conformance.http_front import HttpFront
from fovea.client.conformance.subjects import Subject


@dataclass(frozen=True)
class Site:
    """One server."""

    grpc: GrpcFront
    http: HttpFront
    subjects: Sequence[Subject]
    """The models that answer; the first is the one of which the most can be asked."""
    claimed: frozenset[str]
    """The extensions that its metadata lists."""

    @property
    def main(self) -> Subject:
        """The model that most questions are about."""
        return self.subjects[0]

    def one(self, fits: Callable[[Subject], bool]) -> Subject | None:
        """The first model that fits."""
        return next(filter(fits, self.subjects), None)


def over_grpc(name: str, asked: str, expected: Expected, ask: Callable[[], Came], extension: str = "") -> Case:
    """A case of the gRPC front."""
    return Case("gRPC", name, asked, expected, ask, extension)


def over_http(name: str, asked: str, expected: Expected, ask: Callable[[], Came], extension: str = "") -> Case:
    """A case of the HTTP front."""
    return Case("HTTP", name, asked, expected, ask, extension)


def cannot_ask(front: str, name: str, lacking: str, refusal: bool = False) -> Case:
    """A case that is left out for what no model of the server has."""
    return Case(front, name, "", Expected("", lambda _: False, refusal), lambda: Came(""), lacking=lacking)
