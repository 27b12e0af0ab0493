"""A repository with one tiny model that attends, made by hand, and a real server process that serves it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from fovea.cli import main
from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.input_steps import Preprocessing
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.golden import write_golden
from servers import RunningServer, running_server

FLOAT = TensorProto.FLOAT
SHAPES: dict[str, list[str | int | None]] = {
    "image": ["N", 1, 4, 4],
    "logits": ["N", 2],
    "attention.look.map": ["N", 1, 4, 4],
    "attention.look.gate": ["N", 1],
}
MAPS = ("attention.look.map", "attention.look.gate")
NODES: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
    ("ReduceMean", ["image", "axes"], "mean", {"keepdims": 0}),
    ("Neg", ["mean"], "minus", {}),
    ("Concat", ["mean", "minus"], "logits", {"axis": 1}),
    ("Sigmoid", ["image"], "attention.look.map", {}),
    ("Sigmoid", ["mean"], "attention.look.gate", {}),
)


def spec(name: str) -> TensorSpec:
    return TensorSpec(
        name=name, datatype="FP32", shape=tuple(axis if isinstance(axis, int) else -1 for axis in SHAPES[name])
    )


def write_graph(path: Path, outputs: tuple[str, ...]) -> None:
    kept = NODES if len(outputs) > 1 else NODES[:3]
    nodes = [helper.make_node(kind, inputs, [output], **attributes) for kind, inputs, output, attributes in kept]
    values = {name: helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in SHAPES.items()}
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(nodes, "tiny", [values["image"]], [values[name] for name in outputs], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def write_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_graph(folder / "model.onnx", ("logits",))
    write_graph(folder / "maps.onnx", ("logits", *MAPS))
    image = np.linspace(-1, 1, 32, dtype=np.float32).reshape(2, 1, 4, 4)
    mean = image.mean(axis=(2, 3), dtype=np.float64)
    maps = {name: 1 / (1 + np.exp(-value)) for name, value in zip(MAPS, (image.astype(np.float64), mean), strict=True)}
    write_golden(folder / "golden.npz", {"image": image}, {"logits": np.concatenate([mean, -mean], 1)}, maps)
    (folder / "card.json").write_text(card(folder).to_json())


def card(folder: Path) -> ModelCard:
    layer = AttentionLayer(
        name="look", attention=AttentionType.CBAM, operator="CBAM", maps=tuple(spec(name) for name in MAPS)
    )
    return ModelCard(
        name=folder.parent.name,
        attention=AttentionType.CBAM,
        layers=(layer,),
        inputs=(spec("image"),),
        outputs=(spec("logits"),),
        batched=True,
        labels=("bright", "dark"),
        preprocessing=Preprocessing(mode="L", height=4, width=4, mean=(0.5,), std=(0.25,)),
        parameters=1234,
        metrics={"accuracy": 0.9876},
        opset=18,
        tolerances=dict.fromkeys(("logits", *MAPS), 1e-4),
        sha256={entry.name: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in folder.iterdir()},
    )


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    write_model(root / "tiny" / "1")
    write_model(root / "damaged" / "2")
    (root / "damaged" / "2" / "maps.onnx").write_bytes(b"half of it")
    return root


@pytest.fixture(scope="session")
def running(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--ready-when=any") as running:
        yield running


@pytest.fixture(scope="session")
def server(running: RunningServer) -> str:
    """The gRPC address of a running server."""
    return running.grpc


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """A picture that is nearly white."""
    path = tmp_path / "bright.png"
    Image.new("L", (9, 7), 240).save(path)
    return path


@pytest.fixture
def fovea(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command: exit status, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run
