"""Labels belong to an output: classes of an output bear the labels of the file that it names, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import helper

from fovea.client import Client
from fovea.contract.model_card import ModelCard
from fovea.runtime.files import file_sha256
from rest_calls import rest
from servers import RunningServer, running_server, save_model, tensor

NAMES = ("boxes", "scores", "kinds")
X = np.array([[1, 5, 2]], np.float32)
CONFIG = """
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [
  { name: "boxes" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "animals.txt" },
  { name: "kinds" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "kinds.txt" }
]
"""
ANIMALS, KINDS = ("cat", "dog", "bird"), ("one\x0bhalf", "two")
EXPECTED = {
    "configured": {"boxes": b"5.000000:1", "scores": b"5.000000:1:dog", "kinds": b"5.000000:1:two"},
    "carded": {"boxes": b"5.000000:1:dog", "scores": b"5.000000:1", "kinds": b"5.000000:1:two"},
    "both": {"boxes": b"5.000000:1:two", "scores": b"5.000000:1:dog", "kinds": b"5.000000:1:two"},
}


def three_outputs(repository: Path, name: str) -> Path:
    nodes = [helper.make_node("Identity", ["x"], [output]) for output in NAMES]
    return save_model(repository, name, nodes, [tensor("x", ["n", 3])], [tensor(output, ["n", 3]) for output in NAMES])


def write_card(folder: Path, **labels: Any) -> None:
    spec = {"datatype": "FP32", "shape": [-1, 3]}
    facts = {"name": "three", "attention": "none", "batched": True, "parameters": 0, "opset": 21, **labels}
    facts |= {"inputs": [{"name": "x", **spec}], "outputs": [{"name": name, **spec} for name in NAMES]}
    card = ModelCard.model_validate({**facts, "sha256": {"model.onnx": file_sha256(folder / "model.onnx")}})
    (folder / "card.json").write_text(card.to_json())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("labels")
    folders = {name: three_outputs(root, name) for name in EXPECTED}
    write_card(folders["carded"], labels=ANIMALS, output_labels={"kinds": KINDS})
    write_card(folders["both"], labels=KINDS)
    for name in ("configured", "both"):
        (root / name / "config.pbtxt").write_text(CONFIG)
        (root / name / "animals.txt").write_text("\n".join(ANIMALS) + "\n")
        (root / name / "kinds.txt").write_text("\r\n".join(KINDS), "utf-8-sig", newline="")
    with running_server(root) as server:
        yield server


@pytest.mark.parametrize("model", EXPECTED)
def test_an_output_has_its_own_labels_and_no_other_outputs(server: RunningServer, model: str) -> None:
    sent = triton.InferInput("x", X.shape, "FP32")
    sent.set_data_from_numpy(X)
    with triton.InferenceServerClient(server.grpc) as client:
        wanted = [triton.InferRequestedOutput(name, class_count=1) for name in NAMES]
        answer = client.infer(model, [sent], outputs=wanted)
    assert {name: answer.as_numpy(name).item() for name in NAMES} == EXPECTED[model]


@pytest.mark.parametrize("model", EXPECTED)
def test_over_http_and_in_the_own_client_too(server: RunningServer, model: str) -> None:
    outputs = [{"name": name, "parameters": {"classification": 1}} for name in NAMES]
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": X.ravel().tolist()}]}
    _, told, _ = rest(server, f"/v2/models/{model}/infer", {**body, "outputs": outputs})
    assert {one["name"]: one["data"][0].encode() for one in told["outputs"]} == EXPECTED[model]
    with Client(server.grpc) as client:
        classes = client.infer(model, {"x": X}, NAMES, top=1).classes
    assert {name: rows[0][0].label for name, rows in classes.items()} == {
        name: text.decode().partition(":1")[2].removeprefix(":") for name, text in EXPECTED[model].items()
    }


@pytest.mark.parametrize(
    ("model", "prediction", "others"),
    [
        ("configured", None, {"scores": ANIMALS, "kinds": KINDS}),
        ("carded", ANIMALS, {"boxes": ANIMALS, "kinds": KINDS}),
        ("both", KINDS, {"boxes": KINDS, "scores": ANIMALS, "kinds": KINDS}),
    ],
)
def test_the_metadata_tells_the_predictions_labels_and_every_outputs(
    server: RunningServer, model: str, prediction: tuple[str, ...] | None, others: dict[str, tuple[str, ...]]
) -> None:
    with Client(server.grpc) as client:
        info = client.metadata(model)
    assert info.json("labels") == (None if prediction is None else list(prediction))
    assert info.json("output_labels") == json.loads(json.dumps(others))


def test_the_configuration_names_each_outputs_file(server: RunningServer) -> None:
    with triton.InferenceServerClient(server.grpc) as client:
        told = {one.name: one.label_filename for one in client.get_model_config("configured").config.output}
    assert told == {"boxes": "", "scores": "animals.txt", "kinds": "kinds.txt"}
