"""Unloading gives back what loading took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from onnx import helper, numpy_helper

from servers import RunningServer, running_server, save_model, tensor

CYCLES, FIRST_CYCLES = 200, 20
WEIGHTS = 500_000
X = np.ones((1, 4), np.float32)
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""Each heap of the C library keeps up to twice its largest freed block, and each thread that loads may take another."""


def heavy_model(repository: Path) -> Path:
    """8 MB of weights."""
    weights = numpy_helper.from_array(np.ones((4, WEIGHTS), np.float32), "w")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weights),
        helper.make_node("MatMul", ["x", "w"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["mean"]),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    save_model(repository, "heavy", nodes, [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    return repository


def cycle(client: triton.InferenceServerClient) -> None:
    client.load_model("heavy")
    x = triton.InferInput("x", X.shape, "FP32")
    x.set_data_from_numpy(X)
    assert (client.infer("heavy", [x]).as_numpy("y") == X + X.sum()).all()
    client.unload_model("heavy")


def resident_kb(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def held(server: RunningServer) -> dict[str, int]:
    """Threads and descriptors."""
    process = Path(f"/proc/{server.process.pid}")
    return {name: len(list((process / name).iterdir())) for name in ("task", "fd")}


def test_200_loads_and_unloads_leave_memory_threads_descriptors_and_series_where_they_were(tmp_path: Path) -> None:
    flags = ("--control-mode=explicit", "--open-rpcs=model_control", "--attention-sample-s=0", "--max-batch-rows=2")
    with (
        running_server(heavy_model(tmp_path), *flags, environment=ONE_HEAP) as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        for _ in range(FIRST_CYCLES):
            cycle(client)
        before_kb, before = resident_kb(server), held(server)
        for _ in range(CYCLES - FIRST_CYCLES):
            cycle(client)
        assert resident_kb(server) < before_kb * 1.05
        assert all(count <= before[name] + 2 for name, count in held(server).items())
        assert [labels for _, labels in server.samples() if ("model", "heavy") in labels] == []
