"""Traces of requests as OpenTelemetry spans, sent to a real endpoint of OTLP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as over_http
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from otlp_collector import Collector, collecting, facts
from servers import RunningServer, plain_models, running_server, wait_until

X = np.ones((1, 4), np.float32)
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_SERVICE_NAME": "mine"}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module", params=["gRPC, fast lane", "HTTP, no fast lane"])
def traced(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Collector]]:
    repository = plain_models(tmp_path_factory.mktemp("repository"))
    to, lane = request.param.split(", ")
    with collecting() as collector:
        flags = (f"--trace-otlp={collector.grpc if to == 'gRPC' else collector.http}", f"--{lane.replace(' ', '-')}")
        with running_server(repository, *flags, environment=SOON) as server:
            yield server, collector


def context(*, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}", "tracestate": "vendor=7"}


def tensor(of: Any) -> Any:
    made = of.InferInput("x", X.shape, "FP32")
    made.set_data_from_numpy(X)
    return made


def ask(server: RunningServer, request_id: str, headers: dict[str, str] | None = None, model: str = "double") -> None:
    with triton.InferenceServerClient(server.grpc) as client:
        client.infer(model, [tensor(triton)], request_id=request_id, headers=headers)


def span_of(collector: Collector, request_id: str) -> Any:
    wait_until(lambda: collector.of_request(request_id) is not None)
    return collector.of_request(request_id)


def test_a_call_that_its_caller_traces_goes_on_with_her_trace(traced: tuple[RunningServer, Collector]) -> None:
    server, collector = traced
    before_ns = time.time_ns()
    ask(server, "unary", context())
    span = span_of(collector, "unary")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "vendor=7")
    assert span.name == "inference.GRPCInferenceService/ModelInfer"
    assert (
        facts(span).items()
        >= {
            "rpc.system.name": "grpc",
            "rpc.method": "inference.GRPCInferenceService/ModelInfer",
            "rpc.response.status_code": "OK",
            "fovea.model.name": "double",
            "fovea.model.version": "1",
            "fovea.outcome": "ok",
        }.items()
    )
    assert before_ns <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
    assert collector.resources[0]["service.name"] == "mine"


def exemplars(server: RunningServer) -> dict[str, set[str]]:
    """Histogram -> the traces that are shown beside its values."""
    request = Request(server.metrics, headers={"Accept": "application/openmetrics-text"})
    with urlopen(request, timeout=20) as answer:
        families = [*text_string_to_metric_families(answer.read().decode())]
    shown = [(one.name, sample.exemplar) for one in families for sample in one.samples if sample.exemplar]
    return {name: {found.labels["trace_id"] for of, found in shown if of == name} for name, _ in shown}


def test_its_trace_is_shown_beside_the_times_that_are_counted_of_it(traced: tuple[RunningServer, Collector]) -> None:
    server, _ = traced
    ask(server, "exemplary", context())
    latencies = ("fovea_request_duration_seconds", "fovea_queue_duration_seconds", "fovea_batch_compute_seconds")
    wait_until(lambda: all(TRACE in exemplars(server).get(name, ()) for name in latencies))


def test_its_stages_are_spans_one_after_the_other_and_its_batch_is_linked(
    traced: tuple[RunningServer, Collector],
) -> None:
    server, collector = traced
    ask(server, "stages", context())
    span = span_of(collector, "stages")
    wait_until(lambda: len(collector.children(span)) == 4)
    stages = collector.children(span)
    assert [stage.name for stage in stages] == ["queue", "gather", "run", "split"]
    ends = [stage.end_time_unix_nano for stage in stages]
    assert [stage.start_time_unix_nano for stage in stages[1:]] == ends[:-1]
    (link,) = span.links
    wait_until(lambda: any(one.span_id == link.span_id for one in collector.spans))
    batch = next(one for one in collector.spans if one.span_id == link.span_id)
    assert (batch.name, [one.span_id for one in batch.links]) == ("batch", [span.span_id])
    assert batch.trace_id != span.trace_id
    assert facts(batch).items() >= {"fovea.batch.requests": 1, "fovea.batch.rows": 1}.items()


def test_requests_in_a_stream_and_over_http_are_traced_as_well(traced: tuple[RunningServer, Collector]) -> None:
    server, collector = traced
    answers: SimpleQueue[Any] = SimpleQueue()
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)), headers=context())
        client.async_stream_infer("double", [tensor(triton)], request_id="streamed")
        assert answers.get(timeout=60)[1] is None
    streamed = span_of(collector, "streamed")
    assert (streamed.trace_id.hex(), streamed.name) == (TRACE, "inference.GRPCInferenceService/ModelStreamInfer")
    with over_http.InferenceServerClient(server.http.removeprefix("http://")) as client:
        client.infer("double", [tensor(over_http)], request_id="http", headers=context())
    span = span_of(collector, "http")
    assert (span.trace_id.hex(), span.name) == (TRACE, "POST /v2/models/{name}/infer")
    assert facts(span).items() >= {"http.request.method": "POST", "http.response.status_code": 200}.items()


def test_who_says_nothing_or_that_she_does_not_trace_is_not_traced(traced: tuple[RunningServer, Collector]) -> None:
    server, collector = traced
    ask(server, "silent")
    ask(server, "unsampled", context(sampled=False))
    ask(server, "nonsense", {"traceparent": "00-zz-zz-01"})
    ask(server, "after", context())
    span_of(collector, "after")
    assert [collector.of_request(one) for one in ("silent", "unsampled", "nonsense")] == [None] * 3


def test_what_a_caller_chooses_is_cut_so_that_it_fills_no_message(traced: tuple[RunningServer, Collector]) -> None:
    server, collector = traced
    ask(server, "long" * 4000, context())
    span_of(collector, "long" * 64)


def test_a_refused_call_is_a_span_that_says_why(traced: tuple[RunningServer, Collector]) -> None:
    server, collector = traced
    with pytest.raises(InferenceServerException):
        ask(server, "stray", context(), model="nobody")
    told = facts(span_of(collector, "stray"))
    assert (told["rpc.response.status_code"], told["error.type"]) == ("NOT_FOUND", "NotFound")
    assert told["fovea.outcome"] == "invalid"


def test_of_callers_who_say_nothing_one_in_so_many_is_traced(tmp_path: Path) -> None:
    with collecting() as collector:
        flags = (f"--trace-otlp={collector.grpc}", "--trace-rate=3")
        with running_server(plain_models(tmp_path), *flags) as server:
            for index in range(6):
                ask(server, str(index))
            assert server.terminate() == 0  # what waits is sent at the end
        assert [collector.of_request(str(index)) is not None for index in range(6)] == [False, False, True] * 2


def test_a_collector_that_is_away_stops_nothing(tmp_path: Path) -> None:
    with running_server(plain_models(tmp_path), "--trace-otlp=grpc://127.0.0.1:9") as server:
        for index in range(20):
            ask(server, str(index), context())
        assert server.terminate() == 0
