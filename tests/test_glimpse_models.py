"""The committed glimpse networks, asked by text: as accurate as their cards say, and what one glimpse is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from committed_models import EXPORTED, link_models
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import ModelCard
from fovea.recipes.pronunciation.cmudict import VOWELS, Spellings, load
from fovea.recipes.pronunciation.glimpse_models import GLIMPSE_MODELS
from servers import RunningServer, running_server, total, wait_until
from triton_calls import inputs

MODELS = {recipe.name: recipe for recipe in GLIMPSE_MODELS}
ATTENTIVE = [name for name, recipe in MODELS.items() if recipe.attention is not AttentionType.NONE]
HARD = ["glimpse-hard-argmax", "glimpse-hard-sample"]
OTHER_PROCESSOR = 5
"""Words of 10,524 on which another order of additions may turn a tie or a draw."""
WORDS = 32
MOST_BYTES = 1_000_000


def card_of(model: str) -> ModelCard:
    return ModelCard.read(EXPORTED / model / "1" / "card.json")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = link_models(tmp_path_factory.mktemp("glimpses"), *MODELS)
    with running_server(repository, "--log-level=warning") as running:
        yield running


@pytest.fixture(scope="module")
def data() -> Spellings:
    return load()


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def question(model: str, words: list[str], first_seed: int = 0) -> dict[str, np.ndarray]:
    seeds = {"seed": np.arange(first_seed, first_seed + len(words))}
    letters = {"letters": np.array([word.encode() for word in words], np.object_)}
    return letters | (seeds if model == "glimpse-hard-sample" else {})


def vowel_of(client: Any, model: str, word: str) -> str:
    answer = client.infer(model, inputs(question(model, [word]))).as_numpy("logits")
    return VOWELS[int(answer[0].argmax())]


@pytest.mark.parametrize("model", MODELS)
def test_asked_with_words_a_model_is_as_accurate_as_its_card_says(client: Any, data: Spellings, model: str) -> None:
    starts = range(0, len(data.test), WORDS)
    asked = [question(model, list(data.test[start : start + WORDS]), start) for start in starts]
    logits = np.concatenate([client.infer(model, inputs(one)).as_numpy("logits") for one in asked])
    right = int((logits.argmax(1) == data.test_vowels).sum())
    assert abs(right - card_of(model).metrics["accuracy"] * len(data.test)) <= OTHER_PROCESSOR


def test_a_glimpse_is_worth_five_points_and_least_by_unscaled_products() -> None:
    accuracy = {model: card_of(model).metrics["accuracy"] for model in MODELS}
    without = accuracy.pop("glimpse-none")
    assert max(accuracy.values()) > without + 0.05
    assert min(accuracy, key=lambda model: accuracy[model]) == "glimpse-dot"
    assert min(accuracy.values()) > without


@pytest.mark.parametrize("model", ATTENTIVE)
def test_weights_over_the_letters_are_a_map(client: Any, model: str) -> None:
    wanted = [triton.InferRequestedOutput("attention.glimpse")]
    found = client.infer(model, inputs(question(model, ["banana"])), outputs=wanted).as_numpy("attention.glimpse")
    if model in HARD:
        assert 0 <= int(found[0, 0]) < len("banana")
    else:
        np.testing.assert_allclose(found.sum(-1), np.ones((1, 1)), rtol=1e-5)
        assert found.shape == (1, 1, len("banana"))


@pytest.mark.parametrize("model", MODELS)
def test_requests_are_counted_by_the_attention_type_and_files_are_small(server: RunningServer, model: str) -> None:
    with triton.InferenceServerClient(server.grpc) as client:
        vowel_of(client, model, "banana")
    label = str(MODELS[model].attention)
    count = "fovea_request_duration_seconds_count"
    wait_until(lambda: total(server.samples(), count, model=model, attention=label) > 0)
    assert card_of(model).attention == label
    assert sum(path.stat().st_size for path in (EXPORTED / model / "1").iterdir()) < MOST_BYTES
