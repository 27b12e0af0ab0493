"""What `[session]` in a model.toml changes, as it can be seen from outside the server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from onnx import helper, numpy_helper

from fovea.contract.operators import DOMAIN
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_chosen
from fovea.runtime.repository import model_folder
from kernel_builds import tiny_library
from raw_client import RawClient
from servers import RunningServer, infer_request, running_server, save_model, tensor
from simam_version import LAMBDA, SHAPE, images, simam

MB = 1e6
LONG = np.ones((1, 5000), np.float32)
"""Of which every intermediate result takes 100 MB."""


def outer_product(repository: Path, name: str, session: str) -> None:
    """x (n, length) -> the sum of e to its products, each with each."""
    axes = [numpy_helper.from_array(np.array([axis], np.int64)) for axis in (1, 2)]
    nodes = [
        *(helper.make_node("Constant", [], [f"axis{axis}"], value=axes[axis]) for axis in (0, 1)),
        helper.make_node("Unsqueeze", ["x", "axis0"], ["row"]),
        helper.make_node("Unsqueeze", ["x", "axis1"], ["column"]),
        helper.make_node("Mul", ["row", "column"], ["product"]),
        helper.make_node("Exp", ["product"], ["e"]),
        helper.make_node("ReduceSum", ["e", "axis1"], ["part"], keepdims=0),
        helper.make_node("ReduceSum", ["part", "axis0"], ["y"], keepdims=0),
    ]
    save_model(repository, name, nodes, [tensor("x", ["n", "length"])], [tensor("y", ["n"])])
    (repository / name / "model.toml").write_text(f"[session]\n{session}\n")


def attends_without_a_body(repository: Path, name: str, library: str) -> None:
    """A SimAM node that only a library of operators can run."""
    node = helper.make_node("SimAM", ["x"], ["y", ""], domain=DOMAIN, **{"lambda": LAMBDA})
    sides = [tensor(side, ["n", *SHAPE]) for side in "xy"]
    graph = helper.make_graph([node], name, sides[:1], sides[1:])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (repository / name / "model.toml").write_text(f'[session]\ncustom_op_libraries = ["{library}"]\n')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root, library = tmp_path_factory.mktemp("repository"), tiny_library(tmp_path_factory.mktemp("library"), "RIGHT")
    outer_product(root, "keeps", "")
    outer_product(root, "shrinks", "shrink_arena = true")
    outer_product(root, "no_arena", "arena = false")
    attends_without_a_body(root, "allowed", library.name)
    attends_without_a_body(root, "not_allowed", "other.so")
    with running_server(root, f"--custom-op-libraries={library}", "--threads=1") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[RawClient]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield RawClient(channel)


@pytest.mark.parametrize(("model", "most", "least"), [("shrinks", 60, -60), ("no_arena", 60, -60), ("keeps", 999, 150)])
def test_memory_of_a_large_request_is_given_back_where_the_model_says_so(
    server: RunningServer, client: RawClient, model: str, most: float, least: float
) -> None:
    client.send("ModelInfer", infer_request(model, LONG[:, :2]))
    before = resident_bytes(server)
    client.send("ModelInfer", infer_request(model, LONG))
    assert least * MB < resident_bytes(server) - before < most * MB


def resident_bytes(server: RunningServer) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_operators_of_a_library_that_the_operator_allows_run(client: RawClient) -> None:
    batch = images(2)
    answer = client.send("ModelInfer", infer_request("allowed", batch))
    got = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(batch.shape)
    np.testing.assert_allclose(got, simam(batch)[0], atol=1e-5)


def test_a_model_cannot_have_a_library_opened_that_the_operator_does_not_name(client: RawClient) -> None:
    (reason,) = (one.reason for one in client("RepositoryIndex").models if one.name == "not_allowed")
    assert "'other.so' is not in the server's custom_op_libraries ['libRIGHT.so']" in reason


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_threads_of_a_run_are_the_models_choice(tmp_path: Path) -> None:
    outer_product(tmp_path, "wide", "threads = 4")
    before = threads()
    loaded = load_chosen(model_folder(tmp_path / "wide"), 1, LoadSettings())
    assert threads() - before == 3
    loaded.close()


def test_an_arena_that_is_not_there_is_not_to_be_shrunk(tmp_path: Path) -> None:
    outer_product(tmp_path, "neither", "arena = false\nshrink_arena = true")
    assert "shrink_arena = true needs an arena" in str(model_folder(tmp_path / "neither").problem)
