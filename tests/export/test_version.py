"""A published version: card, golden batch, parity, and that it runs where nothing of ours is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.errors import ExportFailed, ModelBroken
from fovea.contract.model_card import ModelCard
from fovea.export.expected import Expected, expected_batches
from fovea.export.parity import measure_bodies
from fovea.export.reference import Reference
from fovea.export.version import export_version, golden_rows, primary_attention
from fovea.recipes.subject import Subject
from fovea.runtime.arrays import Arrays
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_version
from kernel_builds import tiny_library

STOCK_RUNTIME = """
import sys, numpy as np, onnxruntime
model, data = sys.argv[1:]
golden = np.load(data)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {"input": golden["inputs/input"]})
assert not any(name.split(".")[0] in ("fovea", "torch", "onnx") for name in sys.modules)
print(float(np.abs(logits - golden["outputs/logits"]).max()))
"""


def rows(count: int) -> Arrays:
    return {"input": np.random.default_rng(count).standard_normal((count, 2, 6, 6), dtype=np.float32)}


@pytest.fixture(scope="module")
def published(network: Callable[[str], nn.Module], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a published network with two CBAM blocks."""
    subject = Subject("tiny", network("cbam"), rows, ["logits"], labels=("a", "b", "c"), metrics={"accuracy": 0.5})
    return export_version(subject, tmp_path_factory.mktemp("models"))


def test_card_says_what_the_version_is(published: Path, network: Callable[[str], nn.Module]) -> None:
    card = ModelCard.read(published / "card.json")
    assert card.attention is AttentionType.CBAM
    assert [layer.name for layer in card.layers] == ["attention", "again"]
    assert card.parameters == sum(parameter.numel() for parameter in network("cbam").parameters())
    assert card.labels == ("a", "b", "c")
    assert card.metrics == {"accuracy": 0.5}
    assert set(card.sha256) == {"model.onnx", "maps.onnx", "golden.npz"}
    assert set(card.tolerances) == {"logits", *card.maps}


def test_card_tells_the_measured_error_of_every_batch_size(published: Path) -> None:
    (parity,) = ModelCard.read(published / "card.json").parity
    assert parity.runs == "body"
    assert list(parity.max_abs_error) == [1, 2, 7, 32]
    assert all(0 < error < 1e-5 for error in parity.max_abs_error.values())


def test_server_side_loads_it_and_finds_its_golden_answers(published: Path) -> None:
    version = load_version(published, "tiny", 1, LoadSettings())
    assert version.card.name == "tiny"
    assert [spec.name for spec in version.open_maps().outputs] == ["logits", *version.card.maps]


def test_changed_file_is_not_served(published: Path, tmp_path: Path) -> None:
    copy = tmp_path / "1"
    copy.mkdir()
    for file in published.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelBroken, match=r"model\.onnx"):
        load_version(copy, "tiny", 1, LoadSettings())


def test_golden_tolerances_are_far_below_the_answers(published: Path) -> None:
    card = ModelCard.read(published / "card.json")
    golden = np.load(published / "golden.npz")
    for name, tolerance in card.tolerances.items():
        kind = "maps" if name in card.maps else "outputs"
        assert 0 < tolerance < 1.5e-4 * np.abs(golden[f"{kind}/{name}"]).max()


def test_stock_onnx_runtime_gives_pytorchs_answers(published: Path) -> None:
    words = [sys.executable, "-I", "-c", STOCK_RUNTIME, str(published / "model.onnx"), str(published / "golden.npz")]
    result = subprocess.run(words, check=True, capture_output=True, text=True)
    assert float(result.stdout) < 1e-5


def test_file_that_says_something_else_than_pytorch_is_refused(
    published: Path, network: Callable[[str], nn.Module]
) -> None:
    other = network("cbam")
    nn.init.constant_(other.get_submodule("classify").bias, 0.1)  # type: ignore[arg-type]
    with pytest.raises(ExportFailed, match="logits of the body is off by"):
        measure_bodies([published / "model.onnx"], [Expected.of(Reference(other), rows(2))])


def test_a_map_that_is_off_by_a_thousandth_is_refused_although_the_answer_is_right(
    published: Path, network: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    model = onnx.load(published / "maps.onnx")
    told = next(node for node in model.graph.node if node.output[0] == "attention.again.map")
    told.op_type = "Mul"
    told.input.append("factor")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1.001, np.float32), "factor"))
    onnx.save(model, tmp_path / "maps.onnx")
    expected = Expected.of(Reference(network("cbam")), rows(2))
    with pytest.raises(ExportFailed, match=r"attention\.again\.map of the body is off by"):
        measure_bodies([published / "model.onnx", tmp_path / "maps.onnx"], [expected])


def test_every_row_of_a_large_batch_is_compared_though_pytorch_answers_a_few(
    published: Path, network: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    """The planted fault is in row 30 only."""
    model = onnx.load(published / "model.onnx")
    offset = np.zeros((32, 1), np.float32)
    offset[30] = 0.1
    model.graph.initializer.append(onnx.numpy_helper.from_array(offset, "offset"))
    model.graph.node[-1].output[0] = "right"
    model.graph.node.append(onnx.helper.make_node("Add", ["right", "offset"], ["logits"]))
    onnx.save(model, tmp_path / "model.onnx")
    batches, _ = expected_batches(Subject("tiny", network("cbam"), rows, ["logits"]), Reference(network("cbam")), 4)
    assert [(batch.rows, len(batch.exact[0])) for batch in batches] == [(1, 1), (2, 2), (7, 7), (32, 7)]
    with pytest.raises(ExportFailed, match=r"logits of the body is off by 0\.1 at batch 32"):
        measure_bodies([tmp_path / "model.onnx"], batches[-1:])


def test_module_that_disagrees_with_its_export_is_not_published(
    network: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    class TwoFaced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network("simam")

        def forward(self, image: object) -> object:
            return self.inner(image) + (1 if torch.compiler.is_exporting() else 0)

    with pytest.raises(ExportFailed, match="off by"):
        export_version(Subject("two-faced", TwoFaced(), rows, ["logits"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "rows"), [(1, 4), (1 << 20, 2), (1 << 22, 1)], ids=["small", "large", "huge"])
def test_of_large_inputs_fewer_golden_rows_are_kept(width: int, rows: int) -> None:
    subject = Subject("any", nn.Identity(), lambda count: {"x": np.zeros((count, width), np.float32)}, ["y"])
    assert golden_rows(subject) == rows


def test_primary_type_is_the_most_frequent_and_the_first_of_equals() -> None:
    def layers(*types: AttentionType) -> list[AttentionLayer]:
        return [AttentionLayer(name=str(i), attention=kind, operator="X") for i, kind in enumerate(types)]

    cbam, simam = AttentionType.CBAM, AttentionType.SIMAM
    assert primary_attention(layers(simam, cbam, cbam)) is cbam
    assert primary_attention(layers(simam, cbam)) is simam
    assert primary_attention([]) is AttentionType.NONE


@pytest.fixture(scope="session")
def kernel_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds the runtime tests' SimAM kernel: "RIGHT", "WRONG", one to "CRASH", or for an "OTHER" operator."""
    return partial(tiny_library, tmp_path_factory.mktemp("kernels"))


def test_kernels_are_measured_too_where_a_library_has_them(
    kernel_library: Callable[[str], Path], network: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    subject = Subject("tiny", network("simam"), rows, ["logits"])
    for variant, runs in (("RIGHT", ["body", "kernel"]), ("OTHER", ["body"])):
        folder = export_version(subject, tmp_path, kernel_library=kernel_library(variant))
        assert [record.runs for record in ModelCard.read(folder / "card.json").parity] == runs


@pytest.mark.parametrize(("variant", "reason"), [("WRONG", "of the kernel is off by"), ("CRASH", "ended with status")])
def test_bad_kernel_is_told_of_and_the_bodies_decide(
    variant: str,
    reason: str,
    kernel_library: Callable[[str], Path],
    network: Callable[[str], nn.Module],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = Subject("tiny", network("simam"), rows, ["logits"])
    folder = export_version(subject, tmp_path, kernel_library=kernel_library(variant))
    card = ModelCard.read(folder / "card.json")
    assert [record.runs for record in card.parity] == ["body"]
    assert card.tolerances == ModelCard.read(export_version(subject, tmp_path) / "card.json").tolerances
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith("tiny: no parity of kernels, since ")
    assert reason in warning


def test_file_that_mixes_rows_is_not_published_though_the_rows_at_hand_do_not_show_it(tmp_path: Path) -> None:
    class Deviation(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image - image.mean(0)

    def alike(rows: int) -> dict[str, np.ndarray]:
        return {"image": np.ones((rows, 4), np.float32)}

    with pytest.raises(ExportFailed, match="does not keep the rows of a batch apart: rows influence each other"):
        export_version(Subject("deviation", Deviation(), alike, ["output"]), tmp_path)
    assert list(tmp_path.iterdir()) == []
