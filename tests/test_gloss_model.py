"""The committed reader of glosses, asked with texts: as accurate as its card says, and what pre-training is worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from committed_models import EVERY_COMMITTED, link_models
from fovea.cli import main
from fovea.contract.model_card import ModelCard
from fovea.recipes.language.labelled_texts import Labelled
from fovea.recipes.language.text_classification import FILE
from fovea.recipes.language.wordnet import LABELS, load
from servers import RunningServer, running_server, total, wait_until
from triton_calls import inputs
from triton_front import FRONTS, triton_front

NAME = "bert-gloss"
README = Path(__file__).parents[1] / "README.md"
FOLDER = EVERY_COMMITTED[NAME]
OTHER_PROCESSOR = 5
"""Texts of 11,670 on which another order of additions may turn a tie."""
TEXTS_AT_ONCE = 32
MOST_BYTES = 12_000_000
HELD_OUT = {
    "a flat cake of thin batter fried on both sides on a griddle": "noun.food",
    "the quality of being dishonest": "noun.attribute",
    "a narrow strait connecting two bodies of water": "noun.object",
    "the time after sunset and before sunrise while it is dark outside": "noun.time",
    "utter or declare in a very loud voice": "verb.communication",
    "to a great extent or degree": "adv.all",
}
"""Glosses that it was not trained with -> their classes."""


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = link_models(tmp_path_factory.mktemp("glosses"), NAME)
    with running_server(repository, f"--{request.param}", "--log-level=warning") as running:
        yield running


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server) as client_and_module:
        yield client_and_module


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard.read(FOLDER / "card.json")


@pytest.fixture(scope="module")
def glosses() -> Labelled:
    """Those for testing."""
    return load().test


def texts(*texts: str) -> np.ndarray:
    return np.array([text.encode() for text in texts], np.object_)


def test_glosses_that_it_has_not_seen_get_their_classes(front: Any, glosses: Labelled) -> None:
    client, module = front
    assert {text: LABELS.index(label) for text, label in HELD_OUT.items()}.items() <= dict(glosses).items()
    sent = module.InferInput("tokens", [len(HELD_OUT)], "BYTES")
    sent.set_data_from_numpy(texts(*HELD_OUT))
    best = module.InferRequestedOutput("logits", class_count=1)
    found = client.infer(NAME, [sent], outputs=[best]).as_numpy("logits")
    assert [row.decode().split(":")[2] for row in found.ravel()] == list(HELD_OUT.values())


def test_asked_with_texts_it_is_as_accurate_as_its_card_says(
    server: RunningServer, card: ModelCard, glosses: Labelled
) -> None:
    parts = [glosses[start : start + TEXTS_AT_ONCE] for start in range(0, len(glosses), TEXTS_AT_ONCE)]
    with triton.InferenceServerClient(server.grpc) as client:
        asked = [inputs({"tokens": texts(*(text for text, _ in part))}) for part in parts]
        logits = np.concatenate([client.infer(NAME, one).as_numpy("logits") for one in asked])
    right = int((logits.argmax(1) == [label for _, label in glosses]).sum())
    assert abs(right - card.metrics["accuracy"] * len(glosses)) <= OTHER_PROCESSOR
    label = str(card.attention)
    count = "fovea_request_duration_seconds_count"
    wait_until(lambda: total(server.samples(), count, model=NAME, attention=label) >= len(parts))


def test_the_command_names_the_class_of_a_text_and_draws_its_words(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "words.png"
    asked = ["infer", NAME, "a small animal that barks", "--server", server.grpc, "--top", "1"]
    assert main([*asked, "--attention", str(picture)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("noun.animal")
    assert picture.stat().st_size > 0


def test_readme_says_what_its_card_says_of_pre_training_and_of_words_alone(card: ModelCard) -> None:
    metrics = ("accuracy", "accuracy_without_pretraining", "accuracy_of_words_alone")
    shares = " | ".join(f"{card.metrics[metric]:.1%}" for metric in metrics)
    assert f"| {NAME} | {card.parameters:,} | {shares} |" in README.read_text("utf-8")
    assert card.metrics["accuracy"] > card.metrics["accuracy_of_words_alone"] + 0.05
    assert card.labels == LABELS


def test_its_tokenizer_is_hashed_and_its_files_are_small(card: ModelCard) -> None:
    assert {FILE, "golden_texts.json"} <= card.sha256.keys()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
