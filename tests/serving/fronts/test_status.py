"""Every error has its gRPC code, and that its HTTP status."""

from __future__ import annotations

import grpc
import pytest

from fovea.contract.errors import FoveaError, OutOfMemory, QueueFull, QueueTimeout, VersionEnded
from fovea.serving.engines.outcomes import OUTCOMES, outcome_of
from fovea.serving.fronts.grpc.status import status_of, status_table
from fovea.serving.fronts.rest import http_status
from rest_calls import HTTP_STATUS


def every(kind: type[FoveaError]) -> list[type[FoveaError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in every(child))]


@pytest.mark.parametrize("kind", every(FoveaError))
def test_each_error_has_a_code_and_keeps_its_text(kind: type[FoveaError]) -> None:
    code, text = status_of(kind("what happened"))
    assert code not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
    assert text == "what happened"


@pytest.mark.parametrize("codes", ["triton", "grpc"])
@pytest.mark.parametrize("kind", every(FoveaError))
def test_each_error_has_the_http_status_of_its_code_and_the_same_text(kind: type[FoveaError], codes: str) -> None:
    code, text = status_of(kind("what happened"), status_table(codes))
    assert http_status.status_of(kind("what happened"), http_status.status_table(codes)) == (HTTP_STATUS[code], text)


def test_the_tree_on_top_of_the_errors_names_every_one() -> None:
    import fovea.contract.errors as errors

    assert errors.__doc__
    assert all(kind.__name__ in errors.__doc__ for kind in every(FoveaError))


def test_an_unforeseen_error_keeps_its_text_to_itself() -> None:
    code, text = status_of(ValueError("password=1234"))
    assert code == grpc.StatusCode.INTERNAL
    assert "1234" not in text


def test_a_setting_chooses_the_idiomatic_codes() -> None:
    assert status_of(QueueFull("full"))[0] == grpc.StatusCode.UNAVAILABLE
    table = status_table("grpc")
    assert status_of(QueueFull("full"), table)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status_of(QueueTimeout("late"), table)[0] == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", FoveaError.__subclasses__())
def test_each_kind_of_error_says_whose_fault_it_is(kind: type[FoveaError]) -> None:
    assert kind in OUTCOMES


@pytest.mark.parametrize(
    ("kind", "outcome"), [(VersionEnded, "rejected"), (OutOfMemory, "failed"), (FoveaError, "failed")]
)
def test_an_error_ends_a_request_as_its_kind_does(kind: type[FoveaError], outcome: str) -> None:
    assert outcome_of(kind("x")) == outcome
