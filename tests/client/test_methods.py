"""What the client sends, and how it reads answers and errors: without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from fovea import wire
from fovea.client import methods
from fovea.client.results import Class, Total, read_answer, read_classes
from fovea.client.status_errors import ERRORS, error_of
from fovea.contract.errors import FoveaError, Unsupported
from fovea.serving.fronts.grpc.status import STATUS

X = np.zeros((1, 4), np.float32)


def sent(**options: Any) -> Any:
    call = methods.infer("m", {"x": X}, ["y", "attention.block"], "3", **options)
    return wire.message("ModelInferRequest").FromString(call.body)


def test_options_become_parameters_of_the_request() -> None:
    request = sent(priority=2, queue_timeout_s=0.25, request_id="a7")
    assert (request.model_name, request.model_version, request.id) == ("m", "3", "a7")
    values = {name: parameter.int64_param for name, parameter in request.parameters.items()}
    assert values == {"priority": 2, "timeout": 250_000}


def test_what_is_not_asked_for_is_not_sent() -> None:
    request = sent()
    assert (dict(request.parameters), request.id) == ({}, "")
    assert not any(output.parameters for output in request.outputs)


def test_the_shortest_wait_in_the_queue_is_no_wait_without_end() -> None:
    assert sent(queue_timeout_s=1e-9).parameters["timeout"].int64_param == 1


def test_classes_are_asked_of_outputs_and_not_of_maps() -> None:
    output, attention = sent(top=5).outputs
    assert output.parameters["classification"].int64_param == 5
    assert not attention.parameters


def test_a_label_may_have_colons_and_may_be_missing() -> None:
    texts = np.array([[b"0.5:1:time: noon", b"-2.25:0"]], np.object_)
    assert read_classes(texts) == ((Class("time: noon", 0.5, 1), Class("", -2.25, 0)),)


def test_the_classes_of_a_model_that_does_not_batch_are_one_row() -> None:
    assert read_classes(np.array([b"1:3:a"], np.object_)) == ((Class("a", 1.0, 3),),)


def test_an_answer_in_typed_contents_is_not_misread() -> None:
    answer = wire.message("ModelInferResponse")(outputs=[{"name": "y", "datatype": "FP32", "shape": [1]}])
    with pytest.raises(Unsupported, match="typed contents"):
        read_answer(answer, ())


@pytest.mark.parametrize("code", list(dict.fromkeys(STATUS.values())))
def test_every_status_that_the_server_sends_has_its_error(code: Any) -> None:
    assert isinstance(error_of(SimpleNamespace(code=lambda: code, details=lambda: "why"), "here:1"), ERRORS[code])


def test_an_error_without_a_text_tells_its_status() -> None:
    failed = SimpleNamespace(code=lambda: grpc.StatusCode.DATA_LOSS, details=lambda: None)
    error = error_of(failed, "here:1")
    assert (type(error), str(error)) == (FoveaError, "DATA_LOSS")


def test_statistics_are_totals_and_of_a_size_of_batch_the_mean() -> None:
    answer = wire.message("ModelStatisticsResponse")()
    one = answer.model_stats.add(name="m", version="2", inference_count=9, execution_count=3)
    one.inference_stats.queue.count, one.inference_stats.queue.ns = 5, 2_500_000_000
    for rows, runs, ns in ((4, 2, 6_000_000_000), (1, 1, 1_000_000_000), (8, 0, 0)):
        batch = one.batch_stats.add(batch_size=rows)
        batch.compute_infer.count, batch.compute_infer.ns = runs, ns
    (statistics,) = methods.statistics("m", "2").read(answer.SerializeToString())
    assert (statistics.model, statistics.version, statistics.rows, statistics.batches) == ("m", "2", 9, 3)
    assert statistics.totals["queue"] == Total(5, 2.5)
    assert statistics.batch_s == {4: 3.0, 1: 1.0}


def test_what_loads_or_unloads_a_model_is_sent_once_and_what_asks_may_be_again() -> None:
    changing = [methods.load("m"), methods.unload("m")]
    asking = [methods.infer("m", {"x": X}), methods.metadata("m"), methods.models(), methods.ready("m")]
    assert [call.may_repeat for call in changing] == [False] * 2
    assert [call.may_repeat for call in asking] == [True] * 4
