"""The committed network that finds digits by glimpses: as accurate as its card says, and looking where they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

from committed_models import EXPORTED, link_models
from fovea.cli import main
from fovea.contract.model_card import ModelCard
from fovea.inputs.picture_steps import pixel_rows
from fovea.recipes.digits import mnist
from fovea.recipes.digits.glimpsing import PREPROCESSING, scenes_of
from fovea.recipes.digits.scenes import SIDE
from fovea.recipes.images.dataset import ImageDataset
from servers import RunningServer, running_server, total, wait_until
from triton_calls import inputs

NAME, PATH = "ram-mnist", "attention.glimpses"
VERSION = EXPORTED / NAME / "1"
DOCS = EXPORTED.parent / "docs"
LEAST_ACCURACY = 0.93
MOST_GLIMPSES = 8
MOST_BYTES = 12_000_000
OTHER_PROCESSOR = 10
"""Pictures of 10,000 on which another order of additions may turn a path or a tie."""
ROWS = 32


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard.read(VERSION / "card.json")


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return mnist.load()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = link_models(tmp_path_factory.mktemp("digits"), NAME)
    with running_server(repository, "--log-level=warning") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def ask(client: Any, scenes: np.ndarray, first_seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and paths of scenes (N, 60, 60) uint8; their seeds count on from the first one."""
    rows = pixel_rows(scenes[..., None], PREPROCESSING.steps)
    question = inputs({"image": rows, "seed": np.arange(first_seed, first_seed + len(rows))})
    wanted = [triton.InferRequestedOutput(name) for name in ("logits", PATH)]
    answer = client.infer(NAME, question, outputs=wanted)
    return answer.as_numpy("logits"), answer.as_numpy(PATH)


def ask_in_batches(client: Any, scenes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, of more scenes than a request may have."""
    answers = [ask(client, scenes[first : first + ROWS], first) for first in range(0, len(scenes), ROWS)]
    logits, paths = zip(*answers, strict=True)
    return np.concatenate(logits), np.concatenate(paths)


@pytest.mark.parametrize(("which", "metric"), [(0, "accuracy"), (1, "accuracy_cluttered")])
def test_it_is_as_accurate_as_its_card_says(
    client: Any, card: ModelCard, data: ImageDataset, which: int, metric: str
) -> None:
    scenes = scenes_of(data.test_images)[which].numpy()
    logits, _ = ask_in_batches(client, scenes)
    right = int((logits.argmax(1) == data.test_labels).sum())
    assert abs(right - card.metrics[metric] * len(scenes)) <= OTHER_PROCESSOR


def test_nine_translated_digits_of_ten_are_named_by_a_few_glimpses(card: ModelCard) -> None:
    assert card.metrics["accuracy"] >= LEAST_ACCURACY
    assert card.maps[PATH].shape[1] <= MOST_GLIMPSES


def test_it_looks_nearer_to_the_digit_than_the_centre_is(client: Any, data: ImageDataset) -> None:
    scenes = scenes_of(data.test_images[:200])[0].numpy()
    middles = np.stack([middle(scene) for scene in scenes])
    _, path = ask_in_batches(client, scenes)
    distance = np.linalg.norm(path - middles[:, None], axis=2).mean(0)  # of each glimpse
    assert distance[1:].min() < 0.75 * distance[0]


def middle(scene: np.ndarray) -> np.ndarray:
    """The column and row of a scene's centre of light, from -1 to 1."""
    places = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return np.array([scene.sum(0) @ places, scene.sum(1) @ places]) / scene.sum()


def test_a_seed_repeats_its_path(client: Any, data: ImageDataset) -> None:
    scene = scenes_of(data.test_images[:1])[0].numpy()
    first, again, other = (ask(client, scene, seed)[1] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_requests_are_counted_by_its_attention_type(server: RunningServer, client: Any, data: ImageDataset) -> None:
    ask(client, scenes_of(data.test_images[:1])[0].numpy())
    count = "fovea_request_duration_seconds_count"
    wait_until(lambda: total(server.samples(), count, model=NAME, attention="hard_sample") > 0)


def test_its_files_are_small() -> None:
    assert sum(path.stat().st_size for path in VERSION.iterdir()) < MOST_BYTES


def test_the_readme_says_what_the_card_says_and_its_command_names_the_digit(
    server: RunningServer, card: ModelCard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS.parent / "README.md").read_text()
    shares = (f"{card.metrics[name]:.1%}" for name in ("accuracy", "accuracy_cluttered"))
    assert f"| {NAME} | `{card.attention}` | {card.parameters:,} | {' | '.join(shares)} |" in text
    command = re.search(rf"fovea infer {NAME} docs/(\w+-(\d)\.png) --attention (\w+\.png)", text)
    assert command
    drawn = tmp_path / command[3]
    asked = ["infer", NAME, str(DOCS / command[1]), "--attention", str(drawn), "--server", server.grpc]
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-1] == command[2]
    with Image.open(drawn) as picture, Image.open(DOCS / command[3]) as shown:
        assert picture.size == shown.size
