"""The committed memory networks, asked by text: as accurate as their cards say, by the facts that an answer takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

from committed_models import EXPORTED, link_models
from fovea.cli import main
from fovea.cli.export import next_steps
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import CARD_FILE, GOLDEN_TEXTS_FILE, ModelCard
from fovea.recipes.memory.answering import QuestionAnswering
from fovea.recipes.memory.memory_models import MEMORY_MODELS
from fovea.recipes.memory.scoring import scores
from fovea.recipes.memory.stories import Story
from servers import RunningServer, running_server, total, wait_until
from triton_calls import inputs

MODELS = {recipe.name: recipe for recipe in MEMORY_MODELS if (EXPORTED / recipe.name).exists()}
README = (EXPORTED.parent / "README.md").read_text()
STORIES = 32
"""Of one request."""
OTHER_PROCESSOR = 0.002
"""Share of answers that another order of additions may turn."""
MOST_BYTES = 4_000_000


def card_of(model: str) -> ModelCard:
    return ModelCard.read(EXPORTED / model / "1" / CARD_FILE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = link_models(tmp_path_factory.mktemp("countries"), *MODELS)
    with running_server(repository, "--log-level=warning") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def as_texts(recipe: QuestionAnswering, stories: list[Story]) -> dict[str, np.ndarray]:
    """A text a story for each input; facts have a line each."""
    told = [{**recipe.form(story), "question": [story.question]} for story in stories]
    return {name: np.array(["\n".join(one[name]).encode() for one in told], np.object_) for name in told[0]}


def answers(client: Any, recipe: QuestionAnswering, stories: list[Story]) -> list[str]:
    logits = client.infer(recipe.name, inputs(as_texts(recipe, stories))).as_numpy("logits")
    return [card_of(recipe.name).labels[place] for place in logits.argmax(1)]


@pytest.mark.parametrize("model", MODELS)
def test_asked_with_texts_a_model_is_as_accurate_as_its_card_says(
    client: Any, server: RunningServer, model: str
) -> None:
    recipe = MODELS[model]
    stories = recipe.data().test
    given = [
        answer
        for first in range(0, len(stories), STORIES)
        for answer in answers(client, recipe, stories[first : first + STORIES])
    ]
    assert scores(stories, given) == pytest.approx(card_of(model).metrics, abs=OTHER_PROCESSOR)
    label = str(AttentionType.KEY_VALUE)
    requests = -(-len(stories) // STORIES)
    count = "fovea_request_duration_seconds_count"
    wait_until(lambda: total(server.samples(), count, model=model, attention=label) >= requests)


@pytest.mark.parametrize("model", MODELS)
def test_its_stories_are_about_countries_that_none_of_its_training_told_of(model: str) -> None:
    recipe = MODELS[model]
    held_out = {name for one in recipe.load() if one.held_out for name in (one.name, one.capital)}
    asked = [story.question for story in recipe.data().test[:200]]
    assert all(any(question.endswith(name) or f" {name} " in question for name in held_out) for question in asked)


@pytest.mark.parametrize("model", MODELS)
def test_its_files_are_small_and_its_texts_are_compared_when_it_is_loaded(model: str) -> None:
    assert GOLDEN_TEXTS_FILE in card_of(model).sha256
    assert sum(path.stat().st_size for path in (EXPORTED / model / "1").iterdir()) < MOST_BYTES


def test_whoever_exports_it_reads_how_its_texts_are_sent() -> None:
    told = next_steps(EXPORTED / "kv-memnn-countries" / "1").splitlines()[-1]
    assert told == "ask it:   fovea infer kv-memnn-countries keys=TEXT values=TEXT question=TEXT"


def test_readmes_question_gets_its_answer_and_a_drawing(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [
        block for block in re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL) if "keys=@" in block
    ]
    _, *words = shlex.split(block.replace("\\\n", " ").replace("hops.png", str(tmp_path / "hops.png")))
    monkeypatch.chdir(EXPORTED.parent)
    assert main([*words, "--server", server.grpc]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("  forint")
    with Image.open(tmp_path / "hops.png") as drawn, Image.open("docs/hops.png") as shown:
        assert drawn.size == shown.size


def test_readmes_table_says_what_the_cards_say() -> None:
    rows = re.findall(r"^\| ([\w-]+-countries) \| ([\d,]+) \|(.*)\|$", README, re.MULTILINE)
    expected = {}
    for model in MODELS:
        card = card_of(model)
        accuracies = [f"{card.metrics[f'accuracy_{needed}']:.1%}" for needed in (1, 2, 3)]
        expected[model] = (f"{card.parameters:,}", accuracies)
    assert {name: (parameters, rest.replace(" ", "").split("|")) for name, parameters, rest in rows} == expected
