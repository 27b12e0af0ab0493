"""Nobody's answer depends on who else asks: what mixes rows is not batched, and what minds padding is not padded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton
from PIL import Image

from fovea import wire
from fovea.cli import main
from fovea.contract.input_steps import Preprocessing
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.files import file_sha256
from fovea.runtime.golden import write_golden
from graphs import write_graph
from servers import RunningServer, running_server
from triton_calls import in_flight_together, inputs

Arrays = dict[str, np.ndarray]
SOFTMAX = "(float[n,4] x) => (float[n,4] y) { y = Softmax<axis = 0>(x) }"
LONGEST = """(float[n,t] x) => (float[n,u] y) { h = Constant<value_float = 100.0>() g = Greater(x, h)
    c = Cast<to = 7>(g) a = Constant<value_ints = [1]>() s = ReduceSum<keepdims = 0>(c, a) m = ReduceMax(s)
    e = Add(m, a) z = Constant<value_ints = [0]>() y = Slice(x, z, e, a) }"""
RECURRENT = """(float[t,1,2] x) => (float[t,1,1,1] y) { w = Constant<value = float[1,1,2] {0.5, 0.3}>()
    r = Constant<value = float[1,1,1] {0.7}>() y, h = RNN<hidden_size = 1>(x, w, r) }"""
SCORES = "(float[n,4] a, float[n,4] b) => (float[n,n] y) { t = Transpose(b) y = MatMul(a, t) }"
ROUNDED = """(float[n,8] x) => (float[n,8] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }"""
MAXIMUM = """(float[n,t] x, bool[n,t] mask) => (float[n] y) { a = Constant<value_ints = [1]>()
    m = ReduceMax<keepdims = 0>(x, a) c = Cast<to = 1>(mask) s = ReduceMin<keepdims = 0>(c, a) y = Mul(m, s) }"""
EIGHTIES = """(float[n,t] x) => (float[n] y) { s = Constant<value_ints = [0, -1, 80]>() r = Reshape(x, s)
    a = Constant<value_ints = [1, 2]>() y = ReduceMean<keepdims = 0>(r, a) }"""
LARGEST = """(float[n,t] x, bool[n,t] mask) => (float[n] y) { a = Constant<value_ints = [1]>()
    c = Cast<to = 1>(mask) m = Mul(x, c) y = ReduceMax<keepdims = 0>(m, a) }"""
POSITIONS = """(float[n,t] x) => (float[n,t] y) { s = Constant<value_ints = [20]>()
    p = ConstantOfShape<value = float[1] {2.0}>(s) z = Constant<value_ints = [0]>() a = Constant<value_ints = [0]>()
    e = Shape<start = 1>(x) k = Slice(p, z, e, a) y = Add(x, k) }"""
MODELS = {
    "softmax": SOFTMAX,
    "softmax_with_card": SOFTMAX,
    "longest": LONGEST,
    "recurrent": RECURRENT,
    "scores": SCORES,
    "rounded": ROUNDED,
    "maximum": MAXIMUM,
    "largest": LARGEST,
    "eighties": EIGHTIES,
    "masked": """(float[n,t] x, bool[n,t] mask) => (float[n,t] y) {
        s = Softmax<axis = 0>(x) c = Cast<to = 1>(mask) y = Mul(s, c) }""",
    "insisting": MAXIMUM,
    "pictures": "(float[n,1,2,2] x) => (float[n,1,2,2] y) { y = Softmax<axis = 0>(x) }",
    "positions": POSITIONS,
    "positions_by_half": POSITIONS,
    "asked": SOFTMAX,
    "rows_asked": SOFTMAX,
    "impossible": """(float[n,4] x) => (float[n,4] y) { k = Shape<end = 1>(x) w = Constant<value_floats = [1.0, 2.0]>()
        g = Gather(w, k) y = Mul(x, g) }""",
    "fixed": "(float[2,4] x) => (float[2,4] y) { y = Neg(x) }",
    "pairs": """(float[n,4] x) => (float[n,4] y) { a = Constant<value_ints = [-1, 2, 4]>() r = Reshape(x, a)
        o = Constant<value_ints = [1]>() m = ReduceMax(r, o) d = Sub(r, m)
        b = Constant<value_ints = [-1, 4]>() y = Reshape(d, b) }""",
    "declined": "(float[n,4] x) => (float[n,4] y) { y = Neg(x) }",
    "apart": "(float[n,4] x) => (float[n,4] y) { y = Neg(x) }",
}
CHOICES = {
    "asked": "batched = true\nmax_queue_delay_s = 0.05\nbatch_rows = 8",
    "rows_asked": "max_batch_rows = 5",
    "impossible": "batched = true",
    "fixed": "max_batch_rows = 8",
    "declined": "batched = false",
    "maximum": '[sequence]\ninputs = {x = 1}\nmask = "mask"',
    "largest": '[sequence]\ninputs = {x = 1}\nmask = "mask"',
    "eighties": "[sequence]\ninputs = {x = 1}\nbuckets = [8, 160, 320]",
    "masked": '[sequence]\ninputs = {x = 1}\nmask = "mask"\noutputs = {y = [1]}',
    "insisting": '[sequence]\ninputs = {x = 1}\nmask = "mask"\npadded = true',
    "positions": "[sequence]\ninputs = {x = 1}\noutputs = {y = [1]}\nbuckets = [8, 20]",
    "positions_by_half": "[sequence]\ninputs = {x = 1}\noutputs = {y = [1]}\nbuckets = [4, 8]",
}
REASONS = {
    "softmax": "not batched: rows influence each other: y of a row differs by ",
    "softmax_with_card": "not batched: rows influence each other: y of a row differs by ",
    "longest": "not batched: no input says how long axis 1 of y is; batched = true in model.toml goes before this",
    "recurrent": "not batched: rows influence each other: y of a row differs by ",
    "scores": "not batched: no input says how long axis 1 of y is",
    "rounded": "not batched: its graph has DynamicQuantizeLinear, which rounds by the largest value of the whole batch",
    "maximum": "only requests of the same length 'sequence' share batches: padding from 8 to 12 changes y",
    "largest": "only requests of the same length 'sequence' share batches: padding from 8 to 12 changes y",
    "eighties": "only requests of the same length 'sequence' share batches: what padding from 8 to 160 changes",
    "insisting": "length 'sequence' is padded since model.toml says padded = true, although padding from 8 to 12",
    "masked": "not batched: rows influence each other: y of a row differs by ",
    "pictures": "not batched: rows influence each other: y of a row differs by ",
    "asked": "batched since model.toml: batched = true asks for it, although rows influence each other: y of a row",
    "rows_asked": "batched since model.toml: max_batch_rows asks for it, although rows influence each other: y of a",
    "impossible": "not batched, though model.toml: batched = true asks for it: it fails on 3 rows together: ",
    "fixed": "not batched: model.toml: max_batch_rows asks for it, but x has shape [2, 4], whose first axis is",
    "pairs": "not batched: whether rows are independent could not be told: ",
    "declined": "not batched: model.toml: batched = false",
    "apart": "",
}
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def as_long_as(length: int) -> Arrays:
    x = np.zeros((1, 40), np.float32)
    x[0, :length] = 200
    return {"x": x}


PREPROCESSING = Preprocessing(mode="L", height=2, width=2, mean=(0.5,), std=(0.25,))
REQUESTS: dict[str, list[Arrays]] = {
    "softmax": [{"x": normal(rows, 4)} for rows in (1, 2, 5, 1, 40)],
    "softmax_with_card": [{"x": normal(rows, 4)} for rows in (1, 2, 5, 1, 40)],
    "longest": [as_long_as(length) for length in range(1, 30)],
    "recurrent": [{"x": normal(length, 1, 2)} for length in (62, 5, 20, 7, 5)],
    "scores": [{"a": normal(rows, 4), "b": normal(rows, 4)} for rows in (1, 2, 5, 1)],
    "rounded": [{"x": scale * normal(2, 8)} for scale in (1, 100, 0.01, 10)],
    "maximum": [{"x": -1 - abs(normal(rows, length))} for rows, length in ((1, 9), (2, 10), (1, 9), (3, 12), (1, 11))],
    "largest": [{"x": -1 - abs(normal(rows, length))} for rows, length in ((1, 9), (2, 10), (1, 9), (3, 12), (1, 11))],
    "eighties": [{"x": 1 + normal(rows, length)} for rows, length in ((1, 80), (2, 160), (1, 240), (3, 320), (1, 80))],
    "masked": [{"x": normal(rows, length)} for rows, length in ((1, 9), (3, 5), (2, 5), (40, 3))],
    "pictures": [{"x": normal(rows, 1, 2, 2)} for rows in (1, 3, 40)],
    "positions": [{"x": normal(rows, length)} for rows, length in ((1, 9), (2, 20), (1, 3))],
    "positions_by_half": [{"x": normal(rows, length)} for rows, length in ((1, 9), (2, 20), (1, 3))],
    "impossible": [{"x": normal(1, 4)} for _ in range(4)],
    "fixed": [{"x": normal(2, 4)} for _ in range(4)],
    "pairs": [{"x": normal(rows, 4)} for rows in (2, 4, 40)],
    "declined": [{"x": normal(rows, 4)} for rows in (1, 40)],
    "apart": [{"x": normal(rows, 4)} for rows in (1, 4)],
}


def write_card(folder: Path, shape: tuple[int, ...], **facts: Any) -> None:
    """As an export of a softmax over the batch would be, which batches by its card."""
    x = np.random.default_rng(1).standard_normal((4, *shape)).astype(np.float32)
    powers = np.exp(x.astype(np.float64))
    write_golden(folder / "golden.npz", {"x": x}, {"y": powers / powers.sum(0)}, {})
    card = ModelCard(
        name=folder.parent.name,
        attention="none",
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, *shape)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, *shape)),),
        batched=True,
        parameters=0,
        opset=21,
        tolerances={"y": 1e-5},
        sha256={name: file_sha256(folder / name) for name in ("model.onnx", "golden.npz")},
        **facts,
    )
    (folder / "card.json").write_text(card.to_json())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rows")
    for name, text in MODELS.items():
        write_graph(root / name / "1" / "model.onnx", text)
        if name in CHOICES:
            (root / name / "model.toml").write_text(CHOICES[name])
    write_card(root / "softmax_with_card" / "1", (4,))
    write_card(root / "pictures" / "1", (1, 2, 2), preprocessing=PREPROCESSING)
    return root


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def together(client: Any, model: str, requests: list[Arrays]) -> list[np.ndarray]:
    return [result.as_numpy("y") for result in in_flight_together(client, model, requests)]


def alone(repository: Path, model: str, request: Arrays) -> np.ndarray:
    session = onnxruntime.InferenceSession(repository / model / "1" / "model.onnx")
    made = {"mask": np.ones(request["x"].shape, bool)} if model in ("maximum", "largest", "masked") else {}
    return session.run(["y"], request | made)[0]


@pytest.mark.parametrize("model", REQUESTS)
def test_requests_in_flight_together_get_the_answers_that_they_get_alone(
    client: Any, repository: Path, model: str
) -> None:
    sent = REQUESTS[model] * 4
    for found, request in zip(together(client, model, sent), sent, strict=True):
        np.testing.assert_allclose(found, alone(repository, model, request), rtol=1e-5, atol=1e-6)


def told(server: RunningServer) -> dict[str, str]:
    """What the index says of each model, which is ready."""
    with triton.InferenceServerClient(server.grpc) as client:
        index = client.get_model_repository_index().models
    assert {entry.state for entry in index} == {"READY"}
    return {entry.name: entry.reason for entry in index}


def batching(client: Any, model: str) -> str:
    answer = wire.message("ModelMetadataResponse").FromString(
        client._client_stub.ModelMetadata(triton.service_pb2.ModelMetadataRequest(name=model)).SerializeToString()
    )
    return str(answer.properties.get("batching", ""))


@pytest.mark.parametrize("model", REASONS)
def test_why_requests_are_not_batched_is_told_in_index_metadata_and_log(
    server: RunningServer, client: Any, model: str
) -> None:
    reason = told(server)[model]
    assert reason.startswith(REASONS[model])
    assert bool(reason) == bool(REASONS[model])
    assert batching(client, model) == reason.partition("; it fails on made-up rows")[0]
    assert any(f"{model} version 1: {REASONS[model]}" in line for line in server.errors) == bool(reason)


def test_fovea_models_tells_it_too(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--server", server.grpc]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "rows_asked 1: batched since model.toml: max_batch_rows asks for it" in shown


def test_an_owner_who_asks_for_batches_gets_them(client: Any) -> None:
    assert client.get_model_config("asked").config.max_batch_size == 32
    assert client.get_model_config("rows_asked").config.max_batch_size == 5
    x = {"x": np.ones((1, 4), np.float32)}
    assert any((found < 1).any() for found in together(client, "asked", [x] * 64))


def test_what_is_not_batched_takes_any_number_of_rows_and_says_so(client: Any) -> None:
    assert client.get_model_config("softmax").config.max_batch_size == 0
    assert list(client.get_model_metadata("softmax").inputs[0].shape) == [-1, 4]


def test_pictures_become_the_rows_of_their_own_request(client: Any, repository: Path) -> None:
    shades = (0, 99, 255)
    sent = triton.InferInput("x", [3], "BYTES")
    sent.set_data_from_numpy(np.array([png(shade) for shade in shades], np.object_))
    x = np.array([np.full((1, 2, 2), (shade / 255 - 0.5) / 0.25) for shade in shades], np.float32)
    found = client.infer("pictures", [sent]).as_numpy("y")
    np.testing.assert_allclose(found, alone(repository, "pictures", {"x": x}), rtol=1e-4)


def png(shade: int) -> bytes:
    Image.new("L", (2, 2), shade).save(file := BytesIO(), "PNG")
    return file.getvalue()


def test_every_row_of_a_model_that_is_not_batched_has_its_own_classes(client: Any) -> None:
    x = np.arange(24, dtype=np.float32).reshape(3, 8)
    wanted = [triton.InferRequestedOutput("y", class_count=1)]
    found = client.infer("rounded", inputs({"x": x}), outputs=wanted).as_numpy("y")
    assert [text.decode().split(":")[1] for text in found.ravel()] == ["7", "7", "7"]


@pytest.mark.parametrize(
    ("model", "length", "limit"),
    [
        ("positions", 21, "length 'sequence': expected at most 20, received {'x': 21}"),
        ("positions_by_half", 21, "cannot run these lengths: sequence 21 (tried up to 8)"),
    ],
)
def test_a_sequence_that_is_too_long_is_refused_with_the_limit(
    client: Any, model: str, length: int, limit: str
) -> None:
    with pytest.raises(triton.InferenceServerException, match=re.escape(limit)) as refusal:
        client.infer(model, inputs({"x": normal(1, length)}))
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
