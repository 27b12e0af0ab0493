"""The card's file form, and what a wrong file gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.errors import ModelBroken
from fovea.contract.input_steps import Preprocessing
from fovea.contract.lengths import LengthSpec
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 3))
MAP = TensorSpec(name="attention.block", datatype="FP32", shape=(-1, 1, 7, 7))


def card(**changes: Any) -> ModelCard:
    layer = AttentionLayer(name="block", attention=AttentionType.SPATIAL, operator="SpatialAttention", maps=(MAP,))
    facts = {"name": "m", "attention": "spatial", "inputs": [X], "outputs": [X], "batched": True}
    return ModelCard.model_validate({**facts, "parameters": 1, "opset": 23, "layers": [layer], **changes})


def test_a_card_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(card(labels=("a", "b")).to_json())
    assert ModelCard.read(path) == card(labels=("a", "b"))


def test_a_cards_labels_are_those_of_its_prediction_unless_it_says_otherwise() -> None:
    z = TensorSpec(name="z", datatype="FP32", shape=(-1, 2))
    two = {"outputs": [X, z], "labels": ["a", "b"]}
    assert card(**two).labels_by_output == {"x": ("a", "b")}
    assert card(**two, output_labels={"z": ["c"]}).labels_by_output == {"x": ("a", "b"), "z": ("c",)}
    assert card(**two, output_labels={"x": ["c"]}).labels_by_output == {"x": ("c",)}
    assert card(output_labels={"x": ["c"]}).labels_by_output == {"x": ("c",)}
    assert card().labels_by_output == {}


def test_a_card_knows_its_maps_and_types() -> None:
    assert card().maps == {"attention.block": MAP}
    assert card(attention="cbam").attention_types == (AttentionType.CBAM, AttentionType.SPATIAL)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": "../evil"}, "name"),
        ({"attention": "telepathy"}, "attention"),
        ({"surprise": 1}, "surprise"),
        ({"inputs": []}, "inputs"),
        ({"format": 2}, "format"),
        ({"tolerances": {"y": float("inf")}}, "tolerances"),
        ({"max_batch_rows": 4097}, "max_batch_rows"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 3]}]}, "y has shape .* must start with -1"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": []}]}, "x has shape .* must start with -1"),
        ({"labels": ["a" * (1 << 20)]}, "at most 1 MiB"),
        ({"output_labels": {"z": ["a"]}}, r"output_labels: z is none of the outputs \['x'\]"),
    ],
)
def test_a_wrong_card_names_the_field(tmp_path: Path, change: dict[str, Any], where: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**json.loads(card().to_json()), **change}))
    with pytest.raises(ModelBroken, match=where):
        ModelCard.read(path)


IMAGE = {"name": "image", "datatype": "FP32", "shape": [-1, 1, 4, 6]}
TOKENS = {"name": "tokens", "datatype": "INT64", "shape": [-1, -1]}
GREY = [{"step": "picture"}, {"step": "channels", "mode": "L"}, {"step": "resize", "height": 4, "width": 6}]
TEXT = [{"step": "text"}, {"step": "split", "into": "words"}, {"step": "vocabulary"}]
SHORT = {"mode": "L", "height": 4, "width": 6, "mean": [0.5], "std": [0.25]}


def test_a_card_says_by_input_which_steps_make_it() -> None:
    both = card(inputs=[IMAGE, TOKENS], input_steps={"image": [*GREY, {"step": "scale"}], "tokens": TEXT})
    assert {name: steps.kind for name, steps in both.steps_by_input.items()} == {"image": "picture", "tokens": "text"}
    assert ModelCard.model_validate_json(both.to_json()) == both


def test_the_short_form_is_of_the_one_input_that_its_pictures_fit() -> None:
    short = Preprocessing.model_validate(SHORT)
    assert card(inputs=[X, IMAGE], preprocessing=short).steps_by_input == {"image": short.steps}
    assert card(inputs=[IMAGE, {**IMAGE, "name": "other"}], preprocessing=short).steps_by_input == {}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"input_steps": {"tokens": TEXT}}, "tokens is none of the inputs"),
        ({"inputs": [IMAGE], "input_steps": {"image": TEXT}}, r"is FP32 .*make INT64 or INT32 \[-1, -1\]"),
        ({"inputs": [X], "input_steps": {"x": [*GREY, {"step": "scale"}]}}, r"make FP32 \[-1, 1, 4, 6\]"),
        (
            {"inputs": [TOKENS], "input_steps": {"tokens": TEXT}, "sha256": {"model.onnx": "0"}},
            "tokens needs vocabulary.txt, of which the card has no hash",
        ),
        ({"inputs": [IMAGE, TOKENS], "input_steps": {"tokens": TEXT}, "preprocessing": SHORT}, "expected one of them"),
    ],
)
def test_steps_that_do_not_make_an_input_of_the_model_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        card(**changes)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_card_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("card") / "card.json"
    path.write_bytes(data)
    with pytest.raises(ModelBroken, match=r"card\.json"):
        ModelCard.read(path)


@pytest.mark.parametrize("field", ["layers", "inputs", "labels"])
def test_of_a_hundred_thousand_mistakes_a_card_is_told_the_first(tmp_path: Path, field: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**json.loads(card().to_json()), field: [{}] * 100_000}))
    with pytest.raises(ModelBroken, match=f"card.json: {field}.0") as refused:
        ModelCard.read(path)
    assert isinstance(refused.value.__cause__, ValidationError)
    assert refused.value.__cause__.error_count() < 10


def test_a_missing_card_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="No such file"):
        ModelCard.read(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("own", "shape", "admitted"),
    [
        ((-1, 3), (7, 3), True),
        ((-1, 3), (0, 3), True),
        ((-1, 3), (-1, 3), True),
        ((), (), True),
        ((-1, 3), (7, 4), False),
        ((-1, 3), (7, -1), False),
        ((-1, 3), (3,), False),
        ((-1, 3), (7, 3, 1), False),
    ],
)
def test_a_tensor_admits_any_size_where_it_leaves_one_open(
    own: tuple[int, ...], shape: tuple[int, ...], admitted: bool
) -> None:
    assert TensorSpec(name="x", datatype="FP32", shape=own).admits(shape) is admitted


def test_preprocessing_needs_a_mean_for_each_channel() -> None:
    with pytest.raises(ValidationError, match="3 value"):
        Preprocessing(mode="RGB", height=2, width=2, mean=(0.5,), std=(0.5,))


TOKENS = TensorSpec(name="tokens", datatype="INT64", shape=(-1, -1))
OLD = {"inputs": [TOKENS], "outputs": [X], "sequence": {"inputs": {"tokens": 1}, "buckets": [4, 8], "longest": 8}}


def test_a_card_that_says_sequence_has_one_length_of_that_name(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    facts = json.loads(card().to_json()) | {name: fact for name, fact in OLD.items() if name == "sequence"}
    path.write_text(json.dumps(facts | {"inputs": [TOKENS.model_dump()]}))
    read = ModelCard.read(path)
    assert read.lengths == {"sequence": LengthSpec(inputs={"tokens": 1}, buckets=(4, 8), longest=8)}
    path.write_text(read.to_json())
    assert ModelCard.read(path) == read


def test_a_card_says_its_lengths_in_one_form() -> None:
    with pytest.raises(ValidationError, match="sequence and lengths: a card has one of them"):
        card(**OLD, lengths={"tokens": {"inputs": {"tokens": 1}}})
    with pytest.raises(ValidationError, match="sequence: outputs: say which axes of 'y'"):
        card(**OLD | {"outputs": [TOKENS.model_copy(update={"name": "y"})]})
