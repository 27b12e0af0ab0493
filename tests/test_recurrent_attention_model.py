"""The recurrent attention model from end to end: a picture and a seed in, a digit and the path of the glimpses out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fovea.cli import main
from fovea.contract.model_card import ModelCard
from fovea.inputs.picture_steps import pixel_rows
from fovea.networks.recurrent_attention import RecurrentAttention
from fovea.recipes.digits.digit_models import DIGIT_MODELS
from fovea.recipes.digits.glimpsing import PREPROCESSING, scenes_of
from fovea.recipes.images.dataset import ImageDataset
from servers import RunningServer, running_server
from triton_front import FRONTS, export_without_cache, triton_front

NAME, PATH = "ram-mnist", "attention.glimpses"
GLIMPSES = 3
_IMAGES = np.random.default_rng(0).integers(0, 256, (64, 28, 28)).astype(np.uint8)
_DIGITS = ImageDataset("noise", _IMAGES, np.arange(64) % 10, _IMAGES, np.arange(64) % 10)
RECIPE = replace(
    DIGIT_MODELS[0],
    schedule=replace(DIGIT_MODELS[0].schedule, epochs=1, batch_rows=16),
    make=lambda: RecurrentAttention(glimpses=GLIMPSES, width=32),
    load=lambda: _DIGITS,
)
SCENES = scenes_of(_IMAGES[:4])[0].numpy()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache, repository = (tmp_path_factory.mktemp(name) for name in ("cache", "repository"))
    return export_without_cache(cache, repository, RECIPE)


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}", "--log-level=warning") as server:
        yield server


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server) as client_and_module:
        yield client_and_module


def ask(front: Any, image: np.ndarray, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and paths."""
    client, module = front
    datatype = "FP32" if image.dtype == np.float32 else "BYTES"
    sent = [module.InferInput("image", list(image.shape), datatype), module.InferInput("seed", [len(seeds)], "INT64")]
    sent[0].set_data_from_numpy(image)
    sent[1].set_data_from_numpy(np.array(seeds))
    wanted = [module.InferRequestedOutput(name) for name in ("logits", PATH)]
    answer = client.infer(NAME, sent, outputs=wanted)
    return answer.as_numpy("logits"), answer.as_numpy(PATH)


def rows(*places: int) -> np.ndarray:
    return pixel_rows(SCENES[list(places), ..., None], PREPROCESSING.steps)


def png(place: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(SCENES[place]).save(file, "PNG")
    return np.array([file.getvalue()], np.object_)


def test_a_seed_repeats_its_path_and_answer_alone_and_among_others(front: Any) -> None:
    logits, path = ask(front, rows(0, 1, 0, 0), [7, 7, 8, 7])
    assert path.shape == (4, GLIMPSES, 2)
    alone_logits, alone = ask(front, rows(0), [7])
    for place in (0, 3):
        np.testing.assert_allclose(path[place], alone[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(logits[place], alone_logits[0], rtol=0, atol=1e-4)
    assert np.abs(path[0, 1:] - path[2, 1:]).max() > 1e-3


def test_a_picture_is_looked_at_as_its_tensor_is(front: Any) -> None:
    for given, expected in zip(ask(front, png(2), [5]), ask(front, rows(2), [5]), strict=True):
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def test_its_card_says_that_it_draws_and_that_its_path_is_a_map(repository: Path) -> None:
    card = ModelCard.read(repository / NAME / "1" / "card.json")
    assert card.attention == "hard_sample"
    assert {name: spec.shape for name, spec in card.maps.items()} == {PATH: (-1, GLIMPSES, 2)}
    assert [spec.name for spec in card.outputs] == ["logits"]
    assert set(card.metrics) == {"accuracy", "accuracy_cluttered"}


def test_the_command_draws_the_path_over_the_picture_and_the_seed_decides_it(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, drawn = tmp_path / "scene.png", [tmp_path / f"path-{seed}.png" for seed in (1, 1, 2)]
    Image.fromarray(SCENES[0]).save(scene)
    for path, seed in zip(drawn, (1, 1, 2), strict=True):
        asked = ["infer", NAME, str(scene), "--server", server.grpc, "--seed", str(seed), "--attention", str(path)]
        assert main(asked) == 0
        assert f"hard_sample of layer glimpses, {GLIMPSES} glimpses" in capsys.readouterr().out
    first, other = (np.asarray(Image.open(path)) for path in (drawn[0], drawn[2]))
    assert min(first.shape[:2]) >= 448
    assert (first != other).any()
