"""Memory networks from end to end: trained for a moment, exported, served, and asked with facts of different counts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
from PIL import Image
from tritonclient.utils import InferenceServerException

from country_sample import invented_countries
from fovea.cli import main
from fovea.contract.model_card import ModelCard
from fovea.recipes.memory.answering import QuestionAnswering
from fovea.recipes.memory.memory_models import MEMORY_MODELS
from fovea.recipes.memory.questions import rows_of, words_of
from servers import RunningServer, running_server
from triton_front import FRONTS, export_without_cache, triton_front

RECIPES = {
    recipe.name: replace(
        recipe,
        schedule=replace(recipe.schedule, epochs=1),
        load=invented_countries,
        training_stories=600,
        test_stories=200,
    )
    for recipe in MEMORY_MODELS
}
WORDS = words_of(invented_countries())
HOPS = 3


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache, repository = (tmp_path_factory.mktemp(name) for name in ("cache", "repository"))
    return export_without_cache(cache, repository, *RECIPES.values())


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}", "--log-level=warning") as server:
        yield server


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server, connections=8) as client_and_module:
        yield client_and_module


def ask(front: Any, model: str, rows: dict[str, np.ndarray], *outputs: str) -> list[np.ndarray]:
    client, module = front
    datatypes = {"i": "INT64", "O": "BYTES"}
    sent = [module.InferInput(name, list(array.shape), datatypes[array.dtype.kind]) for name, array in rows.items()]
    for tensor, array in zip(sent, rows.values(), strict=True):
        tensor.set_data_from_numpy(array)
    wanted = outputs or ("logits",)
    answer = client.infer(model, sent, outputs=[module.InferRequestedOutput(name) for name in wanted])
    return [answer.as_numpy(name) for name in wanted]


def rows(recipe: QuestionAnswering, place: int) -> dict[str, np.ndarray]:
    """One test story, as long as it is by itself."""
    return rows_of([recipe.data().test[place]], recipe.form, WORDS)


def expected(recipe: QuestionAnswering, folder: Path, given: dict[str, np.ndarray]) -> np.ndarray:
    """What a stock ONNX Runtime says of the same rows, unpadded."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / recipe.name / "1" / "model.onnx"))
    logits: np.ndarray = session.run(["logits"], given)[0]
    return logits


@pytest.mark.parametrize("model", RECIPES)
def test_stories_of_different_lengths_are_answered_side_by_side_as_each_alone(
    front: Any, repository: Path, model: str
) -> None:
    recipe = RECIPES[model]
    stories = [rows(recipe, place) for place in range(8)]
    assert len({next(iter(story.values())).shape for story in stories}) > 3
    with ThreadPoolExecutor(8) if front[1] is grpc_client else ThreadPoolExecutor(1) as pool:
        answers = list(pool.map(lambda story: ask(front, model, story)[0], stories))
    for story, answer in zip(stories, answers, strict=True):
        np.testing.assert_allclose(answer, expected(recipe, repository, story), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", RECIPES)
def test_every_hop_has_a_map_that_says_which_facts_it_read(front: Any, model: str) -> None:
    story = rows(RECIPES[model], 0)
    facts = next(iter(story.values())).shape[1]
    maps = ask(front, model, story, *(f"attention.hops.{hop}" for hop in range(HOPS)))
    for weights in maps:
        assert weights.shape == (1, 1, facts)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("model", RECIPES)
def test_its_card_names_lengths_and_answers_and_says_how_good_guessing_is(repository: Path, model: str) -> None:
    card = ModelCard.read(repository / model / "1" / "card.json")
    assert [length.padded for length in card.lengths.values()] == [True] * len(card.lengths)
    assert {"facts", "question"} < set(card.lengths)
    assert card.labels == WORDS.answers
    assert {f"{what}_{n}" for what in ("accuracy", "chance", "without_facts") for n in (1, 2, 3)} < set(card.metrics)


def as_texts(recipe: QuestionAnswering, place: int) -> dict[str, np.ndarray]:
    """The story as people write it: a fact in each line, and the question."""
    story = recipe.data().test[place]
    told = {name: "\n".join(lines) for name, lines in recipe.form(story).items()}
    return {
        name: np.array([text.title().encode()], np.object_)
        for name, text in {**told, "question": story.question}.items()
    }


@pytest.mark.parametrize("model", RECIPES)
def test_a_story_that_is_sent_as_texts_is_answered_as_its_tokens_are(front: Any, model: str) -> None:
    recipe = RECIPES[model]
    for place in (0, 1):
        (answer,), (expected,) = ask(front, model, as_texts(recipe, place)), ask(front, model, rows(recipe, place))
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-5)


def test_stories_of_one_request_may_have_different_numbers_of_facts(front: Any) -> None:
    recipe = RECIPES["memn2n-countries"]
    stories = [as_texts(recipe, place) for place in (0, 1, 2)]
    together = {name: np.concatenate([story[name] for story in stories]) for name in stories[0]}
    assert len({text.count(b"\n") for text in together["facts"]}) > 1
    (answers,) = ask(front, recipe.name, together)
    for place, answer in enumerate(answers):
        np.testing.assert_allclose(answer[None], ask(front, recipe.name, rows(recipe, place))[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (b"\n \n", "row 0: a text without any line"),
        (b"a\n" * 65, "row 0: a text of 65 lines is above the limit of 64"),
        (b"a\n" + b"b " * 33, "row 0: line 2: a text of 33 tokens is above the limit of 32"),
        (b"a\n\xff", "row 0: expected UTF-8, and byte 2 is none"),
    ],
)
def test_facts_that_cannot_be_read_are_refused_with_their_line(front: Any, facts: bytes, told: str) -> None:
    texts = {"facts": np.array([facts], np.object_), "question": np.array([b"what"], np.object_)}
    with pytest.raises(InferenceServerException, match=f"input 'facts': {told}"):
        ask(front, "memn2n-countries", texts)


CELL, EDGE = 22, 6
"""Pixels of a drawn weight, and beside the last one."""


def brightness(path: Path, lines: int) -> np.ndarray:
    """(lines, hops) of the cells in the lower right of a drawing."""
    with Image.open(path) as drawn:
        light = np.asarray(drawn.convert("L"), int)
    below, right = (size - EDGE - CELL // 2 for size in light.shape)
    return np.array([[light[below - CELL * row, right - CELL * hop] for hop in range(HOPS)] for row in range(lines)])[
        ::-1, ::-1
    ]


@pytest.mark.parametrize("model", RECIPES)
def test_fovea_infer_takes_texts_by_name_and_draws_each_hop_beside_the_facts(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    recipe, picture = RECIPES[model], tmp_path / "hops.png"
    texts = {name: array[0].decode() for name, array in as_texts(recipe, 0).items()}
    facts, *others = texts
    (tmp_path / "facts.txt").write_text(f"\n{texts[facts]}\n\n", "utf-8")
    words = [f"{facts}=@{tmp_path / 'facts.txt'}", *(f"{name}={texts[name]}" for name in others)]
    assert main(["infer", model, *words, "--server", server.grpc, "--top", "1", "--attention", str(picture)]) == 0
    with triton_front(FRONTS[0], server) as front:
        logits, *maps = ask(front, model, rows(recipe, 0), "logits", *(f"attention.hops.{hop}" for hop in range(HOPS)))
    assert capsys.readouterr().out.splitlines()[0].endswith(f"  {WORDS.answers[logits[0].argmax()]}")
    weights = np.stack([one[0, 0] for one in maps], axis=1)
    light, hops = brightness(picture, len(weights)), np.arange(HOPS)
    step = weights.max() / 100  # about what one of 256 colours tells apart
    assert (weights[light.argmax(axis=0), hops] > weights.max(axis=0) - step).all()
    assert (weights[light.argmin(axis=0), hops] < weights.min(axis=0) + step).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["what is it"], "takes facts=TEXT question=TEXT (or NAME=@FILE), not what is it"),
        (["facts=a", "facts=b", "question=c"], "takes facts=TEXT question=TEXT"),
        (["facts=@nowhere.txt", "question=c"], "nowhere.txt cannot be read"),
        (["facts=a", "question=c", "--attention", "{folder}/x.png", "--head", "0"], "--head chooses among the heads"),
        (["facts=a", "question=c", "--attention", "{folder}/x.png", "--layer", "ear"], "no layer ear"),
    ],
)
def test_fovea_infer_tells_which_texts_a_model_takes(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    filled = [word.format(folder=tmp_path) for word in words]
    assert main(["infer", "memn2n-countries", *filled, "--server", server.grpc]) == 1
    assert told in capsys.readouterr().err
