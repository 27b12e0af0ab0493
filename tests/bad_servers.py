"""Servers that speak the protocol badly: one says yes to everything, one says no, one says nothing."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from fovea import wire

EXTENSIONS = [
    "classification",
    "grpc_health",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
    "streams",
    "reflection",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "packed_bodies",
    "trace",
    "logging",
]
TENSOR = {"datatype": "FP32", "shape": [-1, 4]}
OUTPUT = {"name": "y", "datatype": "FP32", "shape": [1, 4]}
ANSWERS: dict[str, dict[str, Any]] = {
    "ServerLive": {"live": True},
    "ServerReady": {"ready": True},
    "ModelReady": {"ready": True},
    "ServerMetadata": {"name": "bad", "extensions": EXTENSIONS},
    "ModelMetadata": {
        "name": "m",
        "versions": ["1"],
        "platform": "none",
        "inputs": [{"name": "x", **TENSOR}],
        "outputs": [{"name": "y", **TENSOR}],
    },
    "ModelConfig": {"config": {"name": "m", "max_batch_size": 8}},
    "ModelInfer": {"model_name": "m", "outputs": [OUTPUT], "raw_output_contents": [bytes(16)]},
}
ONCE = ("ServerMetadata", "ModelMetadata", "ModelConfig", "ModelInfer")
"""What who says no answers the first time, so that more is asked."""
STREAMS = ("ModelStreamInfer", "ServerReflectionInfo")


class BadService(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Whatever is called: the same answer each time, or (`yes` is false) INTERNAL."""

    def __init__(self, yes: bool) -> None:
        self._yes, self._calls = yes, Counter[str]()

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if method in STREAMS:
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: self._stream(requests, context))
        if method == "Watch":
            return grpc.unary_stream_rpc_method_handler(lambda _, context: iter([self._answer(method, context)]))
        return grpc.unary_unary_rpc_method_handler(lambda _, context: self._answer(method, context))

    def _stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        if not self._yes:
            context.abort(grpc.StatusCode.INTERNAL, "no")
        yield from (b"" for _ in requests)

    def _answer(self, method: str, context: Any) -> bytes:
        self._calls[method] += 1
        if not self._yes and (method not in ONCE or self._calls[method] > 1):
            context.abort(grpc.StatusCode.INTERNAL, "no")
        if method not in ANSWERS:
            return b""
        return bytes(wire.message(f"{method}Response")(**ANSWERS[method]).SerializeToString())


@contextmanager
def bad_server(yes: bool) -> Iterator[tuple[str, str]]:
    """The addresses of its two fronts."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=[BadService(yes)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    line = b"200 OK" if yes else b"500 No"
    with _listening(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % line) as http:
        yield f"127.0.0.1:{port}", http
    server.stop(None).wait()


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections, and says nothing."""
    with _listening(b"") as address:
        yield address


@contextmanager
def _listening(answer: bytes) -> Iterator[str]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(1 << 16) and answer:
                self.request.sendall(answer)
            while self.request.recv(1 << 16):  # what is closed before all is read takes its answer with it
                continue

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
