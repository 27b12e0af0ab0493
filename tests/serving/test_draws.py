"""Hard attention over the wire: a client that sends its seed again is given the same draw again, however it is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from torch import Tensor, nn

from fovea.attention.dot import DotAttention
from fovea.attention.hard import HardAttention
from fovea.contract.attention import AttentionType
from fovea.contract.lengths import LengthSpec
from fovea.export.spinner import export_subject
from fovea.recipes.subject import Subject
from rest_calls import rest
from servers import RunningServer, running_server, total
from triton_calls import in_flight_together, inputs

Arrays = dict[str, np.ndarray]
WIDTH = 4
WAYS = {"kernels": ("--kernels=require",), "bodies": ("--kernels=off", "--no-fast-lane")}


class Drawer(nn.Module):
    """x (B, T, 4), mask (B, T), seed (B) -> what the mean of x, as a query, reads of x, and where."""

    def __init__(self) -> None:
        super().__init__()
        self.draw = HardAttention(DotAttention())

    def forward(self, x: Tensor, mask: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        open_places = mask[..., None].to(x.dtype)
        mean = (x * open_places).sum(1, keepdim=True) / open_places.sum(1, keepdim=True)
        y, index = self.draw(mean, x, x, mask[:, None], seed, return_attention=True)
        return y, index


def request(length: int, seed: int) -> Arrays:
    """The places of one row have their own numbers as values; all of them may be drawn."""
    x = np.random.default_rng(length).standard_normal((1, length, WIDTH), dtype=np.float32) * 0.1
    return {"x": x, "seed": np.array([seed])}


def rows(count: int) -> Arrays:
    x = np.random.default_rng(count).standard_normal((count, 9, WIDTH), dtype=np.float32)
    mask = np.arange(9) < 9 - np.arange(count)[:, None] % 9
    return {"x": x, "mask": mask, "seed": np.arange(count) << 33}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningServer]]:
    """One that runs kernels on the fast lane, and one that runs bodies on gRPC's own."""
    folder = tmp_path_factory.mktemp("draws")
    lengths = {"T": LengthSpec(inputs={"x": 1}, mask="mask", buckets=(8, 16, 32))}
    subject = Subject("drawer", Drawer(), rows, ("y", "place"), lengths=lengths)
    export_subject(subject, folder)
    with running_server(folder, *WAYS["kernels"]) as fast, running_server(folder, *WAYS["bodies"]) as plain:
        yield {"kernels": fast, "bodies": plain}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest, servers: dict[str, RunningServer]) -> RunningServer:
    return servers[request.param]


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def drawn_in_torch(asked: Arrays) -> int:
    mask = torch.ones(asked["x"].shape[:2], dtype=torch.bool)
    _, index = Drawer()(torch.from_numpy(asked["x"]), mask, torch.from_numpy(asked["seed"]))
    return int(index)


def test_a_seed_draws_what_it_draws_in_torch_in_whatever_company(client: Any) -> None:
    asked = [request(length, seed) for length in (5, 8, 13, 21) for seed in (0, 1, -7, 2**62)]
    found = [int(answer.as_numpy("place")[0, 0]) for answer in in_flight_together(client, "drawer", asked)]
    assert found == [drawn_in_torch(one) for one in asked]
    assert len(set(found)) > 4


def test_the_value_is_that_of_the_drawn_place(client: Any) -> None:
    asked = request(13, 5)
    answer = client.infer("drawer", inputs(asked))
    np.testing.assert_array_equal(answer.as_numpy("y")[0, 0], asked["x"][0, int(answer.as_numpy("place")[0, 0])])


def test_over_http_it_is_the_same_draw(server: RunningServer) -> None:
    asked = request(8, -3)
    sent = [
        {"name": "x", "datatype": "FP32", "shape": [1, 8, WIDTH], "data": asked["x"].tolist()},
        {"name": "seed", "datatype": "INT64", "shape": [1], "data": asked["seed"].tolist()},
    ]
    status, answer, _ = rest(server, "/v2/models/drawer/infer", {"inputs": sent})
    assert status == 200
    assert {output["name"]: output["data"] for output in answer["outputs"]}["place"] == [drawn_in_torch(asked)]


def test_where_it_looked_is_a_map(client: Any) -> None:
    asked = request(13, 5)
    outputs = [triton.InferRequestedOutput(name) for name in ("place", "attention.draw")]
    answer = client.infer("drawer", inputs(asked), outputs=outputs)
    np.testing.assert_array_equal(answer.as_numpy("attention.draw"), answer.as_numpy("place"))


def test_time_spent_in_drawing_is_told_by_its_type(servers: dict[str, RunningServer]) -> None:
    server = servers["kernels"]
    with triton.InferenceServerClient(server.grpc) as client:
        client.infer("drawer", inputs(request(8, 1)))
    spent = total(
        server.samples(), "fovea_attention_op_seconds_count", model="drawer", attention=AttentionType.HARD_SAMPLE
    )
    assert spent > 0
