"""Sequences of different lengths over the wire: the server fills them up, masks them, and cuts the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton

from encoder_model import VOCABULARY, write_encoder
from fovea import wire
from servers import RunningServer, running_server, total
from triton_calls import in_flight_together, inputs

CHOICES = """
[sequence]
inputs = {tokens = 1}
outputs = {hidden = [1], probabilities = [2, 3]}
mask = "mask"
buckets = [8, 16, 32]
"""


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("encoders")
    write_encoder(repository / "encoder" / "1" / "model.onnx")
    (repository / "encoder" / "model.toml").write_text(CHOICES)
    write_encoder(repository / "chosen" / "1" / "model.onnx")
    (repository / "chosen" / "model.toml").write_text("batch_rows = 3" + CHOICES)
    write_encoder(repository / "misnamed" / "1" / "model.onnx")
    (repository / "misnamed" / "model.toml").write_text(CHOICES.replace("tokens =", "token ="))
    return repository


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, encoders: Path) -> Iterator[RunningServer]:
    with running_server(encoders, f"--{request.param}") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def tokens(length: int, rows: int = 1) -> np.ndarray:
    return np.random.default_rng(length).integers(0, VOCABULARY, (rows, length))


def infer_all(client: triton.InferenceServerClient, lengths: list[int]) -> list[triton.InferResult]:
    return in_flight_together(client, "encoder", [{"tokens": tokens(length)} for length in lengths])


def plain(encoders: Path, ids: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(encoders / "encoder" / "1" / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"tokens": ids, "mask": np.ones(ids.shape, bool)}), strict=True))


def padding(server: RunningServer) -> tuple[float, float]:
    """Batches observed, and the sum of their ratios."""
    found = server.samples()
    return total(found, "fovea_padding_ratio_count"), total(found, "fovea_padding_ratio_sum")


def test_every_length_gets_the_answer_that_it_gets_alone(client, encoders):
    lengths = [3, 17, 8, 30, 5, 40, 16, 1, 8, 29, 33, 7] * 8
    for length, result in zip(lengths, infer_all(client, lengths), strict=True):
        for name, expected in plain(encoders, tokens(length)).items():
            assert result.as_numpy(name).shape == expected.shape
            np.testing.assert_allclose(result.as_numpy(name), expected, rtol=0, atol=1e-5)


def test_padding_ratio_is_observed_for_every_batch(server, client):
    before, _ = padding(server)
    client.infer("encoder", inputs({"tokens": tokens(5)}))
    batches, total = padding(server)
    assert batches > before
    assert 0.0 <= total < batches


def test_a_mask_that_a_client_sends_counts(client, encoders):
    ids = tokens(6)
    mask = np.array([[1, 1, 1, 0, 0, 0]], bool)
    found = client.infer("encoder", inputs({"tokens": ids, "mask": mask})).as_numpy("pooled")
    np.testing.assert_allclose(found, plain(encoders, ids[:, :3])["pooled"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"tokens": tokens(6), "mask": np.ones((1, 5), bool)}, "length 'sequence': inputs differ in it: .*6.*5"),
        ({"tokens": np.zeros((1, 0), np.int64)}, "length 'sequence': expected at least 1"),
        ({"mask": np.ones((1, 5), bool)}, r"missing input\(s\) \['tokens'\]"),
    ],
)
def test_lengths_that_cannot_be_are_refused(client, arrays, told):
    with pytest.raises(triton.InferenceServerException, match=told) as refusal:
        client.infer("encoder", inputs(arrays))
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_mask_is_listed_and_marked_optional(client):
    assert [tensor.name for tensor in client.get_model_metadata("encoder").inputs] == ["tokens", "mask"]
    config = client.get_model_config("encoder").config
    assert {tensor.name: tensor.optional for tensor in config.input} == {"tokens": False, "mask": True}


def test_choice_that_does_not_fit_the_model_is_told(server):
    with grpc.insecure_channel(server.grpc) as channel:
        answer = channel.unary_unary(wire.path("RepositoryIndex"))(b"")
    index = {entry.name: entry for entry in wire.message("RepositoryIndexResponse").FromString(answer).models}
    assert index["misnamed"].state == "UNAVAILABLE"
    assert "model.toml: sequence: inputs: unknown input 'token'" in index["misnamed"].reason


def test_what_batches_cost_is_told_in_metadata_configuration_and_metrics(server, client):
    with grpc.insecure_channel(server.grpc) as channel:
        answer = channel.unary_unary(wire.path("ModelMetadata"))(
            wire.message("ModelMetadataRequest")(name="encoder").SerializeToString()
        )
    metadata = wire.message("ModelMetadataResponse").FromString(answer)
    assert json.loads(metadata.properties["lengths"]) == {"sequence": json.loads(metadata.properties["sequence"])}
    costs = json.loads(metadata.properties["batch_cost"])
    assert [cost["length"] for cost in costs] == [8, 16, 32]
    config = client.get_model_config("encoder").config
    assert json.loads(config.parameters["batch_cost"].string_value) == costs
    preferred = list(config.dynamic_batching.preferred_batch_size)
    assert preferred == sorted({cost["worthwhile_rows"] for cost in costs})
    seconds = total(server.samples(), "fovea_batch_cost_seconds", model="encoder", rows="4", length="16")
    assert seconds == pytest.approx(costs[1]["seconds"]["4"], rel=0.01)


def test_model_toml_goes_before_what_was_measured(client):
    assert list(client.get_model_config("chosen").config.dynamic_batching.preferred_batch_size) == [3]
