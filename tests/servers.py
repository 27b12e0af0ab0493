"""Real server processes and small real model files for tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import onnx
from onnx import TensorProto, helper
from prometheus_client.parser import text_string_to_metric_families

from fovea import wire

_LONG_S = 60.0
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Parsed /metrics text: (name, labels) -> value."""

_READY = re.compile(r"gRPC (\S+), HTTP (\S+), metrics (\S+),")


@dataclass
class RunningServer:
    """A `fovea serve` of its own, on free ports."""

    process: subprocess.Popen[str]
    ready_line: str
    errors: list[str] = field(default_factory=list)

    @property
    def grpc(self) -> str:
        return self._addresses()[0]

    @property
    def http(self) -> str:
        return f"http://{self._addresses()[1]}"

    @property
    def http_address(self) -> tuple[str, int]:
        """Where its HTTP listens, for a socket."""
        host, _, port = self._addresses()[1].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def metrics(self) -> str:
        return f"http://{self._addresses()[2]}/metrics"

    @property
    def agent(self) -> tuple[str, int]:
        """Where it answers agent checks, for a socket; only with --agent-port."""
        found = re.search(r" agent (\S+):(\d+),", self.ready_line)
        assert found, self.ready_line
        return found[1], int(found[2])

    def _addresses(self) -> tuple[str, ...]:
        found = _READY.search(self.ready_line)
        assert found, f"no ready line: {self.ready_line!r}, errors: {''.join(self.errors)}"
        return found.groups()

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def samples(self) -> Samples:
        """What /metrics says now."""
        with urlopen(self.metrics, timeout=_LONG_S) as answer:
            return samples(answer.read().decode())

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def held_up(server: RunningServer, seconds: float) -> Iterator[None]:
    """A server that does nothing for a while: the kernel takes connections for it, and it says nothing to them."""
    server.process.send_signal(signal.SIGSTOP)
    goes_on = threading.Timer(seconds, server.process.send_signal, [signal.SIGCONT])
    goes_on.start()
    try:
        yield
    finally:
        goes_on.join()


@contextmanager
def running_server(
    repository: Path, *flags: str, errors_to: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """A ready server; stopped, and gone, afterwards. Its `errors` are kept, unless they go elsewhere."""
    ports = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")
    process = subprocess.Popen(
        [sys.executable, "-m", "fovea.cli", "serve", f"--repository={repository}", *ports, *flags],
        stdout=subprocess.PIPE,
        stderr=errors_to,
        env=None if environment is None else {**os.environ, **environment},
        text=True,
    )
    assert process.stdout is not None
    errors: list[str] = []
    reader = threading.Thread(target=errors.extend, args=(process.stderr or (),), daemon=True)
    reader.start()
    try:
        yield RunningServer(process, process.stdout.readline(), errors)
    finally:
        process.kill() if process.poll() is None else None
        process.wait(30)
        reader.join(10)
        process.stdout.close()
        process.stderr.close() if process.stderr else None


def samples(text: str) -> Samples:
    """/metrics text, parsed."""
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's series that bear the labels."""
    return sum(value for (metric, has), value in found.items() if metric == name and labels.items() <= set(has))


def taken_in(server: RunningServer) -> float:
    """Requests that wait or have been answered."""
    found = server.samples()
    return total(found, "fovea_waiting_requests") + total(found, "fovea_requests_total")


def requests_by_outcome(server: RunningServer) -> Counter[str]:
    """`fovea_requests_total` of all models; outcomes that nobody had are left out."""
    counts = Counter[str]()
    for (name, labels), value in server.samples().items():
        if name == "fovea_requests_total" and value:
            counts[dict(labels)["outcome"]] += int(value)
    return counts


def wait_until(found: Callable[[], bool]) -> None:
    """Ask again until it is so."""
    pause, until_s = threading.Event(), time.monotonic() + _LONG_S
    while not found():
        assert time.monotonic() < until_s
        pause.wait(0.02)


def tensor(name: str, shape: list[int | str], dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A graph input or output; a text is a dynamic axis."""
    return helper.make_tensor_value_info(name, dtype, shape)


def save_model(
    repository: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    version: int = 1,
) -> Path:
    """Write a plain ONNX file, without a card, into a repository."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    graph = helper.make_graph(nodes, name, inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder


def slow_model(repository: Path, ballast: int = 0) -> Path:
    """About 50 ms a row: a loop of matrix products. `ballast` floats a row come along and are not looked at."""
    eye = onnx.numpy_helper.from_array(np.eye(256, dtype=np.float32), "w")
    nodes, last = [helper.make_node("Constant", [], ["w"], value=eye)], "x"
    for index in range(2500):
        nodes.append(helper.make_node("MatMul", [last, "w"], [f"h{index}"]))
        last = f"h{index}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    inputs = [tensor("x", ["n", 256]), *([tensor("ballast", ["n", ballast])] if ballast else [])]
    save_model(repository, "slow", nodes, inputs, [tensor("y", ["n", 256])])
    return repository


def endless_model(repository: Path) -> Path:
    """Model "endless" turns as often as the largest number of its input says, about a million times a minute."""
    node, value = helper.make_node, onnx.numpy_helper.from_array
    body = helper.make_graph(
        [
            node("Identity", ["condition"], ["goes_on"]),
            node("MatMul", ["state", "w"], ["next"]),
        ],
        "turn",
        [tensor("turn", [], TensorProto.INT64), tensor("condition", [], TensorProto.BOOL), tensor("state", [64, 64])],
        [tensor("goes_on", [], TensorProto.BOOL), tensor("next", [64, 64])],
    )
    nodes = [
        node("Constant", [], ["w"], value=value(np.eye(64, dtype=np.float32), "w")),
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
        node("Loop", ["turns", "", "w"], ["last"], body=body),
        node("ReduceMin", ["last"], ["zero"], keepdims=0),
        node("Add", ["x", "zero"], ["y"]),
    ]
    save_model(repository, "endless", nodes, [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    return repository


def infer_request(model: str, x: Any, **more: Any) -> bytes:
    """A ModelInferRequest for inputs of float32 or int64: `x` and those that are named."""
    arrays = {"x": x, **more}
    request = wire.message("ModelInferRequest")(
        model_name=model,
        inputs=[
            {"name": name, "datatype": "INT64" if array.dtype == np.int64 else "FP32", "shape": array.shape}
            for name, array in arrays.items()
        ],
        raw_input_contents=[array.tobytes() for array in arrays.values()],
    )
    return bytes(request.SerializeToString())


def plain_models(repository: Path) -> Path:
    """Small models that cover the kinds of input: several datatypes, a pair, no batch, any length, one damaged."""
    node = helper.make_node
    x, y = tensor("x", ["n", 4]), tensor("y", ["n", 4])
    save_model(repository, "double", [node("Add", ["x", "x"], ["y"])], [x], [y])
    b = tensor("b", ["n", 4])
    save_model(repository, "pair", [node("Sub", ["x", "b"], ["y"])], [x, b], [y])
    text_in, text_out = tensor("x", ["n", 2], TensorProto.STRING), tensor("y", ["n", 2], TensorProto.STRING)
    save_model(repository, "texts", [node("Identity", ["x"], ["y"])], [text_in], [text_out])
    for name, dtype in (
        ("integers", TensorProto.INT32),
        ("integers8", TensorProto.INT8),
        ("half", TensorProto.FLOAT16),
        ("truths", TensorProto.BOOL),
    ):
        in_, out = tensor("x", ["n", 2], dtype), tensor("y", ["n", 2], dtype)
        save_model(repository, name, [node("Identity", ["x"], ["y"])], [in_], [out])
    save_model(repository, "single", [node("Neg", ["x"], ["y"])], [tensor("x", [3])], [tensor("y", [3])])
    long_in, long_out = tensor("x", ["n", "length"]), tensor("y", ["n", "length"])
    save_model(repository, "any_length", [node("Neg", ["x"], ["y"])], [long_in], [long_out])
    for name, dtype in (("grid", TensorProto.FLOAT), ("text_grid", TensorProto.STRING)):
        in_, out = tensor("x", [2, "height", "width"], dtype), tensor("y", [2, "height", "width"], dtype)
        save_model(repository, name, [node("Identity", ["x"], ["y"])], [in_], [out])
    damaged = repository / "damaged" / "1"
    damaged.mkdir(parents=True)
    (damaged / "model.onnx").write_bytes(b"this is no ONNX file")
    return repository
