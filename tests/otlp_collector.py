"""A collector of OpenTelemetry spans for tests: OTLP over gRPC and over HTTP, on one free port each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.grpc = self.http = ""

    def Export(self, request: Any, _context: Any = None) -> Any:
        for part in request.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in part.resource.attributes})
            self.spans += [span for scope in part.scope_spans for span in scope.spans]
        return ExportTraceServiceResponse()

    def of_request(self, request_id: str) -> Span | None:
        """The span of the request with this id."""
        return next((span for span in self.spans if facts(span).get("fovea.request.id") == request_id), None)

    def children(self, parent: Span) -> list[Span]:
        """In order of their start."""
        found = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def facts(span: Span) -> dict[str, Any]:
    """Its attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            right = self.path == "/v1/traces"
            if right:
                collector.Export(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if right else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(collector, server)
        collector.grpc = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        collector.http = f"http://127.0.0.1:{http.server_port}"
        server.start()
        try:
            yield collector
        finally:
            server.stop(0).wait()
            http.shutdown()
