"""Exporting anybody's own module, as the command line asks for it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fovea.contract.errors import ExportFailed
from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.contract.model_card import ModelCard
from fovea.export.foreign import load_module, read_weights
from fovea.export.input_specs import parse_input
from fovea.export.own_module import OwnModule, export_module
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_version

SOURCE = """
import torch
from torch import nn
from fovea.attention.cbam import CBAM


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.widen = nn.Conv2d(3, 8, 3)
        self.attention = CBAM(8)
        self.classify = nn.Linear(8, 4)

    def forward(self, image, bias):
        return self.classify(self.attention(self.widen(image)).mean((2, 3))) + bias


def make():
    return Classifier()


class Forgetful(Classifier):
    def forward(self, image, bias):
        return self.clasify(image)


class Misread(Classifier):
    def forward(self, image, bias):
        return {"logits": bias}["probabilities"]


def not_a_module():
    return 3


def broken():
    raise OSError("disc on fire")
"""
INPUTS = ["image=1x3x9x9", "bias=1x4"]


@pytest.fixture
def their_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of its own name in the current folder, outside the package."""
    return written_module(SOURCE, tmp_path, monkeypatch)


def written_module(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"theirs_{uuid.uuid4().hex}"
    (folder / f"{name}.py").write_text(source)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return name


def test_module_from_outside_the_package_is_exported_with_its_weights(their_module: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    module = load_module(f"{their_module}:make", None)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "labels.txt").write_text("\ufeffa\nb\r\nc\nd\n")  # as Notepad writes it
    weights, labels = tmp_path / "weights.pt", tmp_path / "labels.txt"
    own = OwnModule(f"{their_module}:make", "theirs", INPUTS, weights, labels, preprocessing="RGB:0.5:0.25")
    folder = export_module(own, tmp_path / "models")
    card = ModelCard.read(folder / "card.json")
    assert folder == tmp_path / "models" / "theirs" / "1"
    assert (card.attention, card.labels) == ("cbam", ("a", "b", "c", "d"))
    assert card.preprocessing == Preprocessing(mode="RGB", height=9, width=9, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert [(spec.name, spec.shape) for spec in card.inputs] == [("image", (-1, 3, 9, 9)), ("bias", (-1, 4))]
    image, bias = np.ones((5, 3, 9, 9), np.float32), np.ones((5, 4), np.float32)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (output,) = session.run(["output"], {"image": image, "bias": bias})
    expected = module(torch.tensor(image), torch.tensor(bias)).detach().numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


def test_given_version_number_is_used(their_module: str, tmp_path: Path) -> None:
    folder = export_module(OwnModule(f"{their_module}:make", "theirs", INPUTS), tmp_path / "models", version=12)
    assert folder.name == "12"


@pytest.mark.parametrize(
    ("target", "inputs", "message"),
    [
        ("{}", INPUTS, "package.module:factory"),
        ("no_such_module_here:make", INPUTS, "cannot be imported"),
        ("{}:nothing", INPUTS, "has no callable nothing"),
        ("{}:not_a_module", INPUTS, "gives a int, not a torch.nn.Module"),
        ("{}:broken", INPUTS, "disc on fire"),
        ("{}:make", [], "inputs must be given"),
        ("{}:make", ["image"], "name=1x3x224x224"),
        ("{}:make", ["image=1x3x9x9", "image=1x4"], "same name"),
        ("{}:make", ["image=1x3x9x9:complex64", "bias=1x4"], "dtype complex64"),
        ("{}:make", ["image=1x3x9x9"], "fails on its inputs"),
        ("{}:make", ["image=1x5x9x9", "bias=1x4"], "fails on its inputs"),
        ("{}:Forgetful", INPUTS, "fails on its inputs in float64: .*clasify"),
        ("{}:Misread", INPUTS, "fails on its inputs in float64: no key 'probabilities'"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(
    target: str, inputs: list[str], message: str, their_module: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportFailed, match=message) as refusal:
        export_module(OwnModule(target.format(their_module), "theirs", inputs), tmp_path / "models")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("name", ["../elsewhere", "", ".hidden", "a/b", "theirs.part"])
def test_name_that_no_model_of_a_repository_can_have_is_refused(name: str, their_module: str, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="cannot be a model's name"):
        export_module(OwnModule(f"{their_module}:make", name, INPUTS), tmp_path / "models")


@pytest.mark.parametrize(
    ("preprocessing", "inputs", "message"),
    [
        ("grey", INPUTS, "expected L or RGB, .*, received 'grey'"),
        ("RGB:0.5", INPUTS, "received 'RGB:0.5'"),
        ("RGB:half:0.5", INPUTS, "received 'RGB:half:0.5'"),
        ("RGB:0.5:0", INPUTS, "received 'RGB:0.5:0'"),
        ("RGB:0.5:0.1,0.2", INPUTS, "received 'RGB:0.5:0.1,0.2'"),
        ("L", INPUTS, r"preprocessing L needs one float32 input 1x1xHxW; there are image \[3, 9, 9\] float32, bias"),
        ("RGB", ["image=1x3x9x9:uint8", "bias=1x4"], "needs one float32 input"),
        ("RGB", ["image=1x3x9x9", "other=1x3x9x9"], "needs one float32 input"),
    ],
)
def test_preprocessing_that_makes_no_input_is_told_in_one_line(
    preprocessing: str, inputs: list[str], message: str, their_module: str, tmp_path: Path
) -> None:
    own = OwnModule(f"{their_module}:make", "theirs", inputs, preprocessing=preprocessing)
    with pytest.raises(ExportFailed, match=message):
        export_module(own, tmp_path / "models")


@pytest.mark.parametrize(("labels", "told"), [("a\nb\n", "2 labels do not fit"), ("a\n" * 5, r"have shape \[4\]")])
def test_labels_that_are_not_the_classes_are_refused(labels: str, told: str, their_module: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(labels)
    own = OwnModule(f"{their_module}:make", "theirs", INPUTS, labels=tmp_path / "labels.txt")
    with pytest.raises(ExportFailed, match=told):
        export_module(own, tmp_path / "models")


def test_weights_that_do_not_fit_are_told_by_their_keys(their_module: str, tmp_path: Path) -> None:
    state = load_module(f"{their_module}:make", None).state_dict()
    state["extra"] = state.pop("classify.bias")
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ExportFailed, match=r"lacks classify\.bias; the module has no extra"):
        load_module(f"{their_module}:make", tmp_path / "weights.pt")


def test_weights_of_another_shape_are_told_in_one_line(their_module: str, tmp_path: Path) -> None:
    state = load_module(f"{their_module}:make", None).state_dict()
    state["classify.bias"] = torch.zeros(9)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ExportFailed, match=r"classify\.bias") as refusal:
        load_module(f"{their_module}:make", tmp_path / "weights.pt")
    assert "\n" not in str(refusal.value)


def test_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_text("not weights")
    with pytest.raises(ExportFailed, match=r"weights\.pt cannot be read as weights: expected a state dict"):
        read_weights(tmp_path / "weights.pt")
    torch.save({"a": torch.ones(2000)}, tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:4000])
    with pytest.raises(ExportFailed, match=r"half\.pt cannot be read as weights: expected a state dict"):
        read_weights(tmp_path / "half.pt")
    with pytest.raises(ExportFailed, match="no weights at"):
        read_weights(tmp_path / "missing.pt")


def test_weights_wrapped_in_a_checkpoint_are_found(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "weights.pt")
    assert list(read_weights(tmp_path / "weights.pt")) == ["a"]


def test_input_may_name_its_dtype() -> None:
    spec = parse_input("tokens=1x128:int64")
    assert (spec.name, spec.row_shape, spec.dtype) == ("tokens", (128,), "int64")


SEQUENCE_SOURCE = """
import torch
from torch import nn
from fovea.attention.multi_head import MultiHeadAttention


class Encoder(nn.Module):
    def __init__(self, masked):
        super().__init__()
        self.masked = masked
        self.embed = nn.Embedding(50, 16)
        self.attention = MultiHeadAttention(16, 2)
        self.classify = nn.Linear(16, 3)

    def forward(self, tokens, mask):
        hidden = self.embed(tokens)
        hidden = hidden + self.attention(hidden, mask[:, None, None, :] if self.masked else None)
        weights = mask[..., None].to(hidden.dtype)
        return self.classify((hidden * weights).sum(1) / weights.sum(1)), hidden


class OfTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)

    def forward(self, tokens, mask):
        return self.blocks(self.embed(tokens), src_key_padding_mask=~mask)


class Halves(nn.Module):
    def forward(self, tokens, mask):
        return tokens[:, ::2].float()


def make():
    return Encoder(masked=True)


def forgetful():
    return Encoder(masked=False)


def of_torch():
    return OfTorch()


def halves():
    return Halves()
"""
SEQUENCES = ["tokens=1xT:int64", "mask=1xT:bool"]


@pytest.fixture
def their_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return written_module(SEQUENCE_SOURCE, tmp_path, monkeypatch)


def test_encoder_is_exported_with_its_sequence_and_served_in_buckets(their_encoder: str, tmp_path: Path) -> None:
    own = OwnModule(f"{their_encoder}:make", "encoder", SEQUENCES, masks=["mask"], buckets=["8,16"])
    folder = export_module(own, tmp_path / "models")
    length = ModelCard.read(folder / "card.json").lengths["T"]
    assert (length.inputs, length.mask, length.buckets) == ({"tokens": 1}, "mask", (8, 16))
    assert length.outputs == {"output_1": (1,), "attention.attention": (2, 3)}
    loaded = load_version(folder, "encoder", 1, LoadSettings())
    maps = loaded.open_maps()
    for session in (loaded.session, maps):
        batch = [{"tokens": np.arange(length)[None]} for length in (5, 13, 9)]
        alone = [{name: array.copy() for name, array in session.infer(request).items()} for request in batch]
        session.gather(batch)
        session.run()
        for found, expected in zip(session.split([1, 1, 1]), alone, strict=True):
            for name, array in expected.items():
                np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5)
    assert found["attention.attention"].shape == (1, 2, 9, 9)


def test_encoder_whose_answers_padding_changes_is_told_so_and_is_never_padded(
    their_encoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = OwnModule(f"{their_encoder}:forgetful", "encoder", SEQUENCES, masks=["mask"])
    folder = export_module(own, tmp_path / "models")
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("fovea")]
    assert warning.startswith("encoder: padding from 8 to 12 changes output_0, output_1")
    length = ModelCard.read(folder / "card.json").lengths["T"]
    assert not length.padded
    assert load_version(folder, "encoder", 1, LoadSettings()).session.max_batch_rows > 1


def test_torchs_own_encoder_with_a_padding_mask_answers_a_short_row_as_alone(
    their_encoder: str, tmp_path: Path
) -> None:
    own = OwnModule(f"{their_encoder}:of_torch", "encoder", SEQUENCES, masks=["mask"])
    folder = export_module(own, tmp_path / "models")
    assert ModelCard.read(folder / "card.json").lengths["T"].padded
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    tokens, mask = np.arange(18).reshape(2, 9), np.arange(9) < np.array([[9], [5]])
    (together,) = session.run(None, {"tokens": tokens, "mask": mask})
    (alone,) = session.run(None, {"tokens": tokens[1:, :5], "mask": mask[1:, :5]})
    np.testing.assert_allclose(together[1:, :5], alone, rtol=0, atol=1e-5)


PAIR_SOURCE = """
from torch import nn
from fovea.attention.dot import ScaledDotAttention


class Reader(nn.Module):
    def __init__(self, masked, least_target):
        super().__init__()
        self.masked, self.least_target = masked, least_target
        self.read, self.write = nn.Embedding(50, 8), nn.Embedding(40, 8)
        self.cross = ScaledDotAttention()
        self.window = nn.Conv1d(8, 8, least_target)

    def forward(self, src, src_mask, tgt):
        source, target = self.read(src), self.write(tgt)
        target = target + self.cross(target, source, source, src_mask[:, None, :] if self.masked else None)
        return target if self.least_target == 1 else (target, self.window(target.transpose(1, 2)).mean(2))


def make():
    return Reader(masked=True, least_target=1)


def forgetful():
    return Reader(masked=False, least_target=1)


def windowed():
    return Reader(masked=True, least_target=9)


class Sum(nn.Module):
    def forward(self, src, src_mask, tgt):
        return src.float() + tgt.float()


def sum_of_both():
    return Sum()
"""
PAIR = ["src=1xS:int64", "src_mask=1xS:bool", "tgt=1xT:int64"]


@pytest.fixture
def their_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return written_module(PAIR_SOURCE, tmp_path, monkeypatch)


def test_of_two_lengths_that_one_is_not_padded_along_which_padding_changes_answers(
    their_reader: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = OwnModule(f"{their_reader}:forgetful", "reader", PAIR, masks=["src_mask"])
    folder = export_module(own, tmp_path / "models")
    lengths = ModelCard.read(folder / "card.json").lengths
    (warning,) = [record.getMessage() for record in caplog.records if record.name.startswith("fovea")]
    assert warning.startswith("reader: padding from 8 to 12 changes output, so that only requests of the same length S")
    assert {name: length.padded for name, length in lengths.items()} == {"S": False, "T": True}
    assert (lengths["S"].outputs, lengths["T"].outputs) == (
        {"attention.cross": (2,)},
        {"output": (1,), "attention.cross": (1,)},
    )
    with np.load(folder / "golden.npz") as golden:
        assert golden["inputs/src"].shape[1] != golden["inputs/tgt"].shape[1]


def test_each_length_has_the_buckets_that_the_module_takes(their_reader: str, tmp_path: Path) -> None:
    own = OwnModule(f"{their_reader}:windowed", "reader", PAIR, masks=["src_mask"], buckets=["S=4,8", "T=9,18"])
    folder = export_module(own, tmp_path / "models")
    lengths = ModelCard.read(folder / "card.json").lengths
    assert {name: length.buckets for name, length in lengths.items()} == {"S": (4, 8), "T": (9, 18)}
    with np.load(folder / "golden.npz") as golden:
        assert golden["inputs/tgt"].shape[1] >= 9
        assert golden["inputs/src_mask"].any(axis=1).all()
        assert len(set(golden["inputs/src_mask"].sum(axis=1))) > 1  # a mask that is always open tells little


def test_two_names_for_what_must_be_equally_long_are_refused(their_reader: str, tmp_path: Path) -> None:
    own = OwnModule(f"{their_reader}:sum_of_both", "reader", PAIR, masks=["src_mask"])
    with pytest.raises(ExportFailed, match=r"fails on its inputs|fixes its batch axis or a length") as refusal:
        export_module(own, tmp_path / "models")
    assert "\n" not in str(refusal.value)


WORDS = [{"step": "text"}, {"step": "split", "into": "words"}, {"step": "vocabulary", "pad": "[PAD]"}]


def test_encoder_takes_texts_by_the_steps_and_the_vocabulary_of_a_file(their_encoder: str, tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").write_text("\ufeffthe\r\n[PAD]\r\nboot\r\n")  # as Notepad writes it
    (tmp_path / "steps.json").write_text("\ufeff" + json.dumps({"tokens": WORDS}))
    own = OwnModule(f"{their_encoder}:make", "encoder", SEQUENCES, masks=["mask"], steps=tmp_path / "steps.json")
    folder = export_module(own, tmp_path / "models")
    card = ModelCard.read(folder / "card.json")
    assert card.steps_by_input == {"tokens": InputSteps.model_validate(WORDS)}
    assert (folder / "vocabulary.txt").read_text() == "the\n[PAD]\nboot\n"
    assert [length.padding for length in card.lengths.values()] == [{"tokens": 1}]
    assert "vocabulary.txt" in card.sha256


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("no JSON", r"steps\.json: file: Invalid JSON"),
        (json.dumps({"token": WORDS}), r"token is none of the inputs tokens, mask"),
        (json.dumps({"tokens": WORDS[1:]}), r"steps\.json: tokens: expected picture or text as the first step"),
        (json.dumps({"tokens": [*WORDS[:2], {"step": "vocabulary", "file": "none.txt"}]}), "none.txt cannot be read"),
        (json.dumps({"tokens": [*WORDS[:2], {"step": "vocabulary", "unknown": "[UNK]"}]}), "lacks the token"),
        (json.dumps({"tokens": [*WORDS[:2], {"step": "vocabulary", "file": "card.json"}]}), "card.json, .*: rename it"),
        (json.dumps({"mask": WORDS}), r"mask is BOOL \[-1, -1\], and its steps make INT64 or INT32"),
    ],
)
def test_steps_that_do_not_fit_are_told_in_one_line(
    steps: str, message: str, their_encoder: str, tmp_path: Path
) -> None:
    for name in ("vocabulary.txt", "card.json"):
        (tmp_path / name).write_text("[PAD]\nthe\nboot\n")
    (tmp_path / "steps.json").write_text(steps)
    own = OwnModule(f"{their_encoder}:make", "encoder", SEQUENCES, masks=["mask"], steps=tmp_path / "steps.json")
    with pytest.raises(ExportFailed, match=message) as refusal:
        export_module(own, tmp_path / "models")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("target", "inputs", "mask", "message"),
    [
        ("make", SEQUENCES, "masks", "mask masks is no input with a length"),
        ("make", ["tokens=1x9:int64", "mask=1x9:bool"], "mask", "mask mask is no input with a length"),
        ("make", ["tokens=1xTxT:int64", "mask=1xT:bool"], None, "length T runs along one axis, not 2"),
        ("halves", SEQUENCES, "mask", "neither fixed nor as long as T"),
    ],
)
def test_sequence_that_cannot_be_is_told_in_one_line(
    target: str, inputs: list[str], mask: str | None, message: str, their_encoder: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportFailed, match=message) as refusal:
        export_module(
            OwnModule(f"{their_encoder}:{target}", "encoder", inputs, masks=[mask] if mask else []), tmp_path / "models"
        )
    assert "\n" not in str(refusal.value)


LIMITED_SOURCE = """
import torch
from torch import nn
import torch.nn.functional as F


class Positions(nn.Module):
    "Learned positions for 40 tokens at most, of a vocabulary of 300."

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(300, 8)
        self.positions = nn.Parameter(torch.randn(40, 8))

    def forward(self, tokens):
        return self.embed(tokens) + self.positions[: tokens.shape[1]]


class Sound(nn.Module):
    "A convolution that needs 100 samples."

    def __init__(self):
        super().__init__()
        self.listen = nn.Conv1d(1, 4, 100, stride=20)

    def forward(self, samples):
        return self.listen(samples[:, None]).mean(2)


def swapped():
    return nn.LSTM(8, 4)
"""


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return written_module(LIMITED_SOURCE, tmp_path, monkeypatch)


def test_longest_sequence_is_found_and_the_buckets_end_there(limited: str, tmp_path: Path) -> None:
    folder = export_module(OwnModule(f"{limited}:Positions", "positions", ["tokens=1xT:int64"]), tmp_path / "models")
    length = ModelCard.read(folder / "card.json").lengths["T"]
    assert (length.longest, length.buckets) == (40, (8, 12, 16, 24, 32, 40))
    with np.load(folder / "golden.npz") as golden:
        assert golden["inputs/tokens"].max() > 20  # 10 would tell little of a vocabulary of 300


def test_bucket_that_the_module_cannot_run_is_told_with_its_limit(limited: str, tmp_path: Path) -> None:
    own = OwnModule(f"{limited}:Positions", "positions", ["tokens=1xT:int64"], buckets=["32,64"])
    with pytest.raises(ExportFailed, match="bucket 64: the module takes a length T of at most 40"):
        export_module(own, tmp_path / "models")


def test_module_that_needs_long_sequences_is_tried_with_such(limited: str, tmp_path: Path) -> None:
    own = OwnModule(f"{limited}:Sound", "sound", ["samples=1xT"], buckets=["400,800"])
    folder = export_module(own, tmp_path / "models")
    with np.load(folder / "golden.npz") as golden:
        assert golden["inputs/samples"].shape[1] >= 100


def test_module_whose_first_axis_is_the_sequence_is_refused(limited: str, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="batch_first=True"):
        export_module(OwnModule(f"{limited}:swapped", "swapped", ["x=5x1x8"]), tmp_path / "models")
    assert not (tmp_path / "models").exists()
