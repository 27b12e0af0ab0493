"""Who decides what of a version: its model's folder, its card, or the server, in this order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.batching_choice import Wanted
from fovea.runtime.declared import Declared
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.repository import Configured
from fovea.runtime.version_settings import VersionSettings, resolve

X, Y = (TensorSpec(name=name, datatype="FP32", shape=(-1, 4)) for name in "xy")
FIXED = TensorSpec(name="y", datatype="FP32", shape=(1, 4))
LIBRARY = Path("/operators/libmine.so")
DEFAULTS = LoadSettings(session=SessionSettings(intra_op_threads=4), max_batch_rows=32, custom_op_libraries=(LIBRARY,))
NOBODY = Wanted("unsaid")


def card_with(**facts: Any) -> ModelCard:
    common = {"attention": AttentionType.NONE, "batched": True, "parameters": 1, "opset": 21, "sha256": {}}
    return ModelCard(name="m", **{"inputs": (X,), "outputs": (Y,), **common, **facts})


def declared(batched: bool | None) -> Declared:
    return Declared(source="config.pbtxt", batched=batched)


def resolved(card: ModelCard, choices: dict[str, Any], other: Declared | None = None) -> VersionSettings:
    return resolve(card, Configured(ServingChoices(**choices), other), DEFAULTS)


@pytest.mark.parametrize(
    ("card_rows", "choices", "rows", "why_one"),
    [
        (None, {}, 32, ""),
        (8, {}, 8, ""),
        (8, {"max_batch_rows": 3}, 3, ""),
        (None, {"max_batch_rows": 64}, 64, ""),
        (1, {}, 1, "not batched: by its card a batch has one row"),
        (8, {"max_batch_rows": 1}, 1, "not batched: by model.toml a batch has one row"),
    ],
)
def test_most_rows_of_a_batch(card_rows: int | None, choices: dict[str, Any], rows: int, why_one: str) -> None:
    settings = resolved(card_with(max_batch_rows=card_rows), choices)
    assert (settings.max_batch_rows, settings.why_one_row) == (rows, why_one)


@pytest.mark.parametrize(
    ("facts", "choices", "other", "wanted"),
    [
        ({}, {}, None, Wanted("said", "its card")),
        ({"batched": False}, {}, None, Wanted("none", "its card says so")),
        ({}, {"batched": False}, None, Wanted("none", "model.toml: batched = false")),
        ({"batched": False}, {"batched": True}, None, Wanted("asked", "model.toml: batched = true")),
        ({}, {"max_batch_rows": 3}, None, Wanted("asked", "model.toml: max_batch_rows")),
        ({}, {}, declared(True), Wanted("asked", "config.pbtxt: max_batch_size")),
        ({}, {}, declared(False), Wanted("none", "config.pbtxt: no max_batch_size")),
        ({}, {}, declared(None), Wanted("said", "its card")),
    ],
)
def test_who_wants_batches(
    facts: dict[str, Any], choices: dict[str, Any], other: Declared | None, wanted: Wanted
) -> None:
    settings = resolved(card_with(**facts), choices, other)
    assert settings.wanted == wanted
    assert settings.card.batched == (wanted.wish != "none")


def test_nobody_has_batches_of_a_tensor_that_cannot_have_rows() -> None:
    settings = resolved(card_with(outputs=(FIXED,), batched=False), {"batched": True})
    assert settings.wanted.wish == "none"
    assert "asks for it, but y has shape [1, 4]" in settings.wanted.source
    assert resolve(card_with(outputs=(FIXED,), batched=False), Configured(), DEFAULTS, NOBODY).wanted.wish == "none"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, {"intra_op_threads": 4, "arena": True, "shrink_arena": False, "custom_op_libraries": ()}),
        ({"threads": 1, "arena": False}, {"intra_op_threads": 1, "arena": False}),
        ({"shrink_arena": True}, {"shrink_arena": True}),
        ({"custom_op_libraries": ("libmine.so",)}, {"custom_op_libraries": (LIBRARY,)}),
    ],
)
def test_how_sessions_are_opened(choices: dict[str, Any], expected: dict[str, Any]) -> None:
    session = resolved(card_with(allow_tf32=True), {"session": choices}).session
    assert {name: getattr(session, name) for name in expected} == expected
    assert session.allow_tf32


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"session": {"custom_op_libraries": ("other.so",)}}, r"'other\.so' is not in"),
        ({"lengths": {"t": {"inputs": {"nobody": 1}}}}, "nobody"),
    ],
)
def test_what_does_not_fit_is_told(choices: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelBroken, match=told):
        resolved(card_with(), choices)


def test_lengths_are_those_of_the_card_as_the_folder_changes_them() -> None:
    card = card_with(inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),))
    settings = resolved(card, {"lengths": {"t": {"inputs": {"x": 1}, "padded": False}}})
    assert settings.card.lengths["t"].axes == {"x": 1}
    assert settings.length_changes.keys() == {"t"}
    assert resolved(card, {}).card.lengths == {}


def test_the_one_length_of_a_card_may_be_called_sequence_also_beside_a_new_one() -> None:
    inputs = tuple(TensorSpec(name=name, datatype="FP32", shape=(-1, -1)) for name in ("src", "tgt"))
    card = card_with(inputs=inputs, lengths={"source": {"inputs": {"src": 1}}})
    changes = {"sequence": {"padded": False}, "target": {"inputs": {"tgt": 1}}}
    settings = resolved(card, {"lengths": changes})
    assert {name: length.padded for name, length in settings.card.lengths.items()} == {"source": False, "target": True}
    assert settings.length_changes.keys() == {"source", "target"}
