"""Traces as OpenTelemetry spans, sent to a collector (OTLP, over HTTP or gRPC); needs the extra `otel`.

A request's span goes on with its caller's trace and has one child for each stage; a batch is a span, and a trace, of
its own, linked to its members, and they to it. Names and attributes: OpenTelemetry's semantic conventions for RPC and
HTTP.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fovea import __version__
from fovea.serving.engines.ran_batch import RanBatch
from fovea.serving.observability.backlog import Backlog
from fovea.serving.observability.trace import TracedRequest
from fovea.serving.observability.trace_origin import PARENT, STATE

_STAGES = {
    "QUEUE_START": "queue",
    "COMPUTE_START": "gather",
    "COMPUTE_INPUT_END": "run",
    "COMPUTE_OUTPUT_START": "split",
}
"""What begins with a stamp, and ends with the next."""
_EXPORT_S = 5
_LONGEST = 1024
"""Characters of an attribute that are sent: what callers choose must not fill a message to the collector."""
_LONGEST_STATE = 512
"""Of a `tracestate`, as W3C Trace Context has it at least."""
_PATIENCE_S = 6.0
_SERVERS_FAULT = frozenset({"failed", "rejected", "deadline"})
_PROPAGATOR = TraceContextTextMapPropagator()
logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)  # warns in callers' own words


class _Ended(NamedTuple):
    requests: Sequence[TracedRequest]
    batch: RanBatch | None


class SpanWriter:
    """Makes spans of traced requests and sends them; a `TraceWriter`."""

    def __init__(self, exporter: SpanExporter, exemplify: Callable[[TracedRequest, str], None]) -> None:
        """`exemplify` hears of each request and its trace, as 32 hexadecimal digits."""
        self._exemplify = exemplify
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=_resource(),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_LONGEST, max_span_attribute_length=_LONGEST),
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("fovea", __version__)
        self._backlog: Backlog[_Ended] = Backlog(self._make, "spans", "spans")

    def write(self, requests: Sequence[TracedRequest], batch: RanBatch | None) -> None:
        """Make spans of those that are wanted as spans, soon."""
        wanted = [request for request in requests if request.wanted.spans]
        if wanted:
            self._backlog.put(_Ended(wanted, batch))

    def close(self) -> None:
        """Send what waits; where no collector answers, it is lost after a while."""
        self._backlog.close()
        ending = threading.Thread(target=self._provider.shutdown, daemon=True, name="last spans")
        ending.start()
        ending.join(_PATIENCE_S)

    def _make(self, ended: _Ended) -> None:
        epoch = partial(_epoch_ns, time.time() - time.monotonic())
        whole = None
        spans = [(self._begun(request, epoch(request.stamps[0][1])), request) for request in ended.requests]
        if ended.batch is not None:
            whole = self._batch(ended.batch, [span for span, _ in spans], ended.requests[0], epoch)
        for span, request in spans:
            for (name, begin_s), (_, end_s) in pairwise(request.stamps):
                if name in _STAGES and ended.batch is not None:
                    self._stage(_STAGES[name], span, epoch(begin_s), epoch(end_s))
            if whole is not None:
                span.add_link(whole.get_span_context())
            _say_how_it_ended(span, request)
            span.end(epoch(request.stamps[-1][1]))
            self._exemplify(request, trace.format_trace_id(span.get_span_context().trace_id))

    def _begun(self, request: TracedRequest, start_ns: int) -> Span:
        origin, facts = request.origin, request.facts
        said = {"fovea.model.name": facts["model_name"], "fovea.model.version": facts["model_version"]}
        if facts["request_id"]:
            said["fovea.request.id"] = facts["request_id"]
        if origin is None:
            return self._tracer.start_span("infer", kind=SpanKind.SERVER, attributes=said, start_time=start_ns)
        state = origin.state if len(origin.state) <= _LONGEST_STATE else ""
        context = _PROPAGATOR.extract({PARENT: origin.parent, STATE: state})
        attributes = {**origin.facts, **said}
        return self._tracer.start_span(origin.name, context, SpanKind.SERVER, attributes, start_time=start_ns)

    def _batch(self, batch: RanBatch, members: Sequence[Span], one: TracedRequest, epoch: Any) -> Span:
        stages = batch.stages
        facts: dict[str, Any] = {
            "fovea.model.name": one.facts["model_name"],
            "fovea.model.version": one.facts["model_version"],
            "fovea.batch.requests": len(batch.rows),
            "fovea.batch.rows": sum(batch.rows),
            "fovea.batch.padding_ratio": batch.padding_ratio,
            **{f"fovea.attention.{op}.seconds": seconds for op, seconds in batch.attention_s.items()},
        }
        links = [Link(member.get_span_context()) for member in members]
        span = self._tracer.start_span(
            "batch",
            Context(),
            SpanKind.INTERNAL,
            facts,
            links,
            epoch(stages.begun_s),
        )
        for name, (begin_s, end_s) in zip(("gather", "run", "split"), pairwise(stages), strict=True):
            self._stage(name, span, epoch(begin_s), epoch(end_s))
        span.end(epoch(stages.ended_s))
        return span

    def _stage(self, name: str, of: Span, start_ns: int, end_ns: int) -> None:
        context = trace.set_span_in_context(of)
        self._tracer.start_span(name, context, start_time=start_ns).end(end_ns)


def _resource() -> Resource:
    """Who sends them; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    ours = {
        "service.name": "fovea",
        "service.version": __version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def exporter(address: str) -> SpanExporter:
    """What sends spans to a collector: `http(s)://HOST:PORT`, or `grpc(s)://HOST:PORT`."""
    scheme, _, place = address.partition("://")
    if scheme in ("grpc", "grpcs"):
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(endpoint=place, insecure=scheme == "grpc", timeout=_EXPORT_S)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    path = "" if place.rstrip("/").endswith("/v1/traces") else "/v1/traces"
    return HttpExporter(endpoint=address.rstrip("/") + path, timeout=_EXPORT_S)


def _say_how_it_ended(span: Span, request: TracedRequest) -> None:
    span.set_attribute("fovea.outcome", request.outcome)
    span.set_attributes(request.status())
    if request.error is not None:
        span.set_attribute("error.type", type(request.error).__name__)
    if request.outcome in _SERVERS_FAULT:
        span.set_status(Status(StatusCode.ERROR, str(request.error or request.outcome)[:_LONGEST]))


def _epoch_ns(offset_s: float, at_s: float) -> int:
    return int((at_s + offset_s) * 1e9)
