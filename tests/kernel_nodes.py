"""One `ai.fovea` node on its own, run by the kernel library: what the tests and benchmarks of kernels look at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from fovea.contract.operators import DOMAIN, OPERATORS, VERSION
from fovea.runtime.ort_session import DEVICE_ENTRY

Arrays = Mapping[str, NDArray[Any]]
SANITIZED = "FOVEA_TEST_KERNEL_LIBRARY"
"""Names the library with sanitizers where it is the one to be tested; see `make kernels-sanitize`."""


def node_model(
    operator: str, inputs: Arrays, settings: Mapping[str, Any], wanted: Sequence[int], constant: Sequence[str] = ()
) -> bytes:
    """A graph of one node without a body; all sizes are open. Of its outputs only those at `wanted` are connected."""
    facts = OPERATORS[operator]
    outputs = [name if index in wanted else "" for index, name in enumerate(facts.outputs)]
    names = [name.removesuffix("?") for name in facts.inputs]
    given = [name if name in inputs else "" for name in names[: max(map(names.index, inputs)) + 1]]
    node = helper.make_node(operator, given, outputs, "block", domain=DOMAIN, **dict[str, Any](settings))
    element = helper.np_dtype_to_tensor_dtype(next(iter(inputs.values())).dtype)
    graph = helper.make_graph(
        [node],
        operator,
        [_open(name, array) for name, array in inputs.items() if name not in constant],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.INT64 if name == "Index" else element, None)
            for name in outputs
            if name
        ],
        [onnx.numpy_helper.from_array(inputs[name], name) for name in constant],
    )
    return _serialized(graph)


def _serialized(graph: onnx.GraphProto) -> bytes:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, VERSION)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def _open(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    sizes = [f"{name}_{axis}" for axis in range(array.ndim)]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), sizes)


def open_node(model: bytes, library: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session with the kernels, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = SANITIZED not in os.environ  # inside an arena no overrun is seen
    options.add_session_config_entry(DEVICE_ENTRY, "cpu")
    options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_node(
    library: Path,
    operator: str,
    inputs: Arrays,
    *,
    settings: Mapping[str, Any] | None = None,
    wanted: Sequence[int] | None = None,
    constant: Sequence[str] = (),
    threads: int = 1,
) -> list[NDArray[Any]]:
    """The outputs at `wanted`, all by default."""
    chosen = range(len(OPERATORS[operator].outputs)) if wanted is None else wanted
    session = open_node(node_model(operator, inputs, settings or {}, chosen, constant), library, threads)
    feed = {name: array for name, array in inputs.items() if name not in constant}
    return list(session.run(None, feed))


def run_chain(library: Path, operator: str, inputs: Arrays, *, settings: Mapping[str, Any]) -> NDArray[Any]:
    """Y of a node whose X, twice the given one, is a value that only the node reads: it may work in that memory."""
    graph = onnx.load_from_string(node_model(operator, inputs, settings, [0])).graph
    graph.node[0].input[0], graph.node[0].output[0] = "doubled", "attended"
    graph.node.insert(0, helper.make_node("Add", ["X", "X"], ["doubled"]))
    graph.node.append(helper.make_node("Identity", ["attended"], ["Y"]))
    return np.asarray(open_node(_serialized(graph), library).run(None, dict(inputs))[0])
