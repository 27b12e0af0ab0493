"""Models with more than one length over the wire: each is filled up, masked, cut and refused by its own name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from fovea import wire
from fovea.cli import main
from graphs import write_graph
from rest_calls import rest
from servers import RunningServer, running_server, total
from triton_calls import in_flight_together, inputs

Arrays = dict[str, np.ndarray]

TRANSLATOR = """
from torch import nn
from fovea.attention.additive import AdditiveAttention
from fovea.attention.cross import CrossAttention
from fovea.attention.multi_head import MultiHeadAttention


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.read, self.write = nn.Embedding(50, 16), nn.Embedding(40, 16)
        self.encoder, self.decoder = MultiHeadAttention(16, 2), MultiHeadAttention(16, 2, causal=True)
        self.cross, self.heads = AdditiveAttention(16, 16, 8), CrossAttention(16, 16, 2)
        self.logits = nn.Linear(16, 7)

    def forward(self, src, src_mask, tgt, tgt_mask):
        source, target = self.read(src), self.write(tgt)
        source = source + self.encoder(source, src_mask[:, None, None, :])
        target = target + self.decoder(target, tgt_mask[:, None, None, :])
        target = target + self.cross(target, source, source, src_mask[:, None, :])
        target = target + self.heads(target, source, src_mask[:, None, None, :])
        shares = tgt_mask[..., None].to(target.dtype)
        return self.logits(target), (target * shares).sum(1) / shares.sum(1)
"""
INPUTS = ("src=1xS:int64", "src_mask=1xS:bool", "tgt=1xT:int64", "tgt_mask=1xT:bool")
OPTIONS = ("--mask", "src_mask", "--mask", "tgt_mask", "--buckets", "S=8,16,32", "--buckets", "T=6,12,24")
OUTPUTS = ("output_0", "output_1", "attention.cross", "attention.heads", "attention.encoder", "attention.decoder")

LENGTHS = """
[lengths.source]
inputs = {a = 1}
mask = "a_mask"
[lengths.target]
inputs = {b = 1}
mask = "b_mask"
outputs = {y = [1]}
"""
GRAPH = """(float[n,s] a, bool[n,s] a_mask, float[n,t] b, bool[n,t] b_mask) => (float[n,t] y) {
    k = Constant<value_ints = [1]>() low = Constant<value_float = -1e9>() e = Where(a_mask, a, low)
    f = Where(b_mask, b, low) p = ReduceMax(SEEN_A, k) q = ReduceMax(SEEN_B, k) z = Mul(b, p) y = Add(z, q) }"""
LEAKING = {"tight": ("e", "f"), "leaks_source": ("a", "f"), "leaks_target": ("e", "b"), "leaks_both": ("a", "b")}
"""Whether the largest of each input is looked for where its mask says, or in the padding too."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lengths")
    (folder / "translator_of_mine.py").write_text(TRANSLATOR)
    words = ["export", "translator_of_mine:Translator", "--name", "translator", "--repository", str(folder / "models")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        assert main([*words, *(word for one in INPUTS for word in ("--input", one)), *OPTIONS]) == 0
    (folder / "models" / "translator" / "model.toml").write_text("[lengths.T]\nlongest = 48")
    for name, (seen_a, seen_b) in LEAKING.items():
        text = GRAPH.replace("SEEN_A", seen_a).replace("SEEN_B", seen_b)
        write_graph(folder / "models" / name / "1" / "model.onnx", text)
        (folder / "models" / name / "model.toml").write_text(LENGTHS)
    return folder / "models"


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def sentence_pair(source: int, target: int, rows: int = 1) -> Arrays:
    random = np.random.default_rng((source, target, rows))
    return {"src": random.integers(0, 50, (rows, source)), "tgt": random.integers(0, 40, (rows, target))}


def together(client: Any, model: str, requests: list[Arrays], outputs: tuple[str, ...]) -> list[Arrays]:
    """All in flight at once."""
    results = in_flight_together(client, model, requests, outputs)
    return [{name: result.as_numpy(name) for name in outputs} for result in results]


def alone(file: Path, request: Arrays, masks: Mapping[str, str], outputs: tuple[str, ...]) -> Arrays:
    """What ONNX Runtime says of one request by itself, with masks that are open where none were sent."""
    made = {mask: np.ones(request[name].shape, bool) for mask, name in masks.items()}
    session = onnxruntime.InferenceSession(file)
    return dict(zip(outputs, session.run(outputs, made | request), strict=True))


def translated(repository: Path, request: Arrays) -> Arrays:
    masks = {"src_mask": "src", "tgt_mask": "tgt"}
    return alone(repository / "translator" / "1" / "maps.onnx", request, masks, OUTPUTS)


def assert_equal_answers(found: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)


def test_requests_of_any_two_lengths_get_together_the_answers_and_maps_that_they_get_alone(
    server: RunningServer, client: Any, repository: Path
) -> None:
    pairs = [(3, 20), (17, 5), (8, 6), (30, 1), (5, 24), (40, 7), (16, 12), (1, 30), (7, 6), (29, 11), (6, 3)]
    requests = [sentence_pair(*pair, rows=1 + place % 3) for place, pair in enumerate(pairs * 4)]
    before = total(server.samples(), "fovea_batches_total", model="translator", outcome="ok")
    for found, request in zip(together(client, "translator", requests, OUTPUTS), requests, strict=True):
        assert_equal_answers(found, translated(repository, request))
    after = server.samples()
    assert total(after, "fovea_batches_total", model="translator", outcome="ok") - before < len(requests)
    assert total(after, "fovea_padding_ratio_sum", model="translator") > 0


@pytest.mark.parametrize("pair", [(3, 20), (17, 5), (40, 30)])
def test_answers_over_http_are_cut_back_along_both_lengths(
    server: RunningServer, repository: Path, pair: tuple[int, int]
) -> None:
    request = sentence_pair(*pair)
    facts = [
        {"name": name, "datatype": "INT64", "shape": list(array.shape), "data": array.ravel().tolist()}
        for name, array in request.items()
    ]
    body = {"inputs": facts, "outputs": [{"name": name} for name in OUTPUTS]}
    status, answer, _ = rest(server, "/v2/models/translator/infer", body)
    assert status == 200, answer
    found = {one["name"]: np.array(one["data"], np.float32).reshape(one["shape"]) for one in answer["outputs"]}
    assert_equal_answers(found, translated(repository, request))


def test_a_mask_that_a_client_sends_counts_and_the_other_is_made(client: Any, repository: Path) -> None:
    request = sentence_pair(6, 5) | {"src_mask": np.array([[1, 1, 1, 0, 0, 0]], bool)}
    found, _ = together(client, "translator", [request, sentence_pair(8, 6)], OUTPUTS)
    assert_equal_answers(found, translated(repository, request))


WRONG = {
    "masks differ": (sentence_pair(6, 5) | {"tgt_mask": np.ones((1, 4), bool)}, "length 'T': inputs differ in it"),
    "too long": (sentence_pair(6, 49), "length 'T': expected at most 48, received {'tgt': 49}"),
    "empty": (sentence_pair(0, 5), "length 'S': expected at least 1, received {'src': 0}"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_length_is_refused_with_its_name(server: RunningServer, client: Any, wrong: str) -> None:
    request, told = WRONG[wrong]
    with pytest.raises(triton.InferenceServerException) as refusal:
        client.infer("translator", inputs(request))
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert told in str(refusal.value)
    facts = [
        {
            "name": name,
            "datatype": np_to_triton_dtype(array.dtype),
            "shape": list(array.shape),
            "data": array.ravel().tolist(),
        }
        for name, array in request.items()
    ]
    status, answer, _ = rest(server, "/v2/models/translator/infer", {"inputs": facts})
    assert (status, told in answer["error"]) == (400, True), answer


def properties(client: Any, model: str) -> Mapping[str, str]:
    answer = client._client_stub.ModelMetadata(triton.service_pb2.ModelMetadataRequest(name=model))
    return dict(wire.message("ModelMetadataResponse").FromString(answer.SerializeToString()).properties)


def test_clients_are_told_the_lengths_by_name(client: Any) -> None:
    told = properties(client, "translator")
    lengths = json.loads(told["lengths"])
    assert list(lengths) == ["S", "T"]
    assert (lengths["S"]["inputs"], lengths["S"]["mask"], lengths["S"]["longest"]) == ({"src": 1}, "src_mask", None)
    assert (lengths["T"]["buckets"], lengths["T"]["longest"]) == ([6, 12, 24], 48)
    assert lengths["T"]["outputs"] == {
        "output_0": [1],
        "attention.decoder": [2, 3],
        "attention.cross": [1],
        "attention.heads": [2],
    }
    assert lengths["S"]["outputs"]["attention.cross"] == [2]
    assert "sequence" not in told
    optional = {tensor.name: tensor.optional for tensor in client.get_model_config("translator").config.input}
    assert optional == {"src": False, "src_mask": True, "tgt": False, "tgt_mask": True}


def test_what_batches_cost_is_told_for_every_two_buckets(server: RunningServer, client: Any) -> None:
    costs = json.loads(properties(client, "translator")["batch_cost"])
    assert [cost["lengths"] for cost in costs] == [{"S": s, "T": t} for s in (8, 16, 32) for t in (6, 12, 24)]
    seconds = total(server.samples(), "fovea_batch_cost_seconds", model="translator", rows="1", length="S=16,T=6")
    assert seconds == pytest.approx(costs[3]["seconds"]["1"], rel=0.01)


def test_fovea_models_lists_what_batches_cost_by_the_names_of_lengths(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--cost", "--server", server.grpc]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[2:6] for line in lines if line[:1] == ["translator"]][3] == ["S", "16,", "T", "6"]


REASONS = {
    "tight": [],
    "leaks_source": ["source"],
    "leaks_target": ["target"],
    "leaks_both": ["source", "target"],
}


@pytest.mark.parametrize("model", REASONS)
def test_a_length_whose_padding_leaks_is_not_padded_and_the_reason_is_in_log_and_metadata(
    server: RunningServer, client: Any, model: str
) -> None:
    told = properties(client, model)
    reason = told.get("batching", "")
    expected = [
        f"only requests of the same length '{name}' share batches: padding from 8 to 12 changes y"
        for name in REASONS[model]
    ]
    assert reason == "; ".join(expected)
    logged = [line for line in server.errors if f"{model} version 1: only requests of the same length" in line]
    assert [reason in line for line in logged] == [True] * bool(reason)
    padded = {name: length["padded"] for name, length in json.loads(told["lengths"]).items()}
    assert padded == {name: name not in REASONS[model] for name in ("source", "target")}


@pytest.mark.parametrize("model", REASONS)
def test_requests_in_flight_together_get_the_answers_that_they_get_alone_also_where_padding_leaks(
    client: Any, repository: Path, model: str
) -> None:
    random = np.random.default_rng(0)
    pairs = [(9, 12), (10, 9), (9, 9), (12, 11), (9, 12), (11, 10)] * 4
    requests = [
        {name: -1 - random.random((1, size), np.float32) for name, size in zip("ab", pair, strict=True)}
        for pair in pairs
    ]
    for found, request in zip(together(client, model, requests, ("y",)), requests, strict=True):
        expected = alone(repository / model / "1" / "model.onnx", request, {"a_mask": "a", "b_mask": "b"}, ("y",))
        assert_equal_answers(found, expected)
