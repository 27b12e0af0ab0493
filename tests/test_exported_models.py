"""The models that come with the repository are as good as their cards say: it is measured again, nothing is believed.

The pictures are Fashion-MNIST's, fetched as `make models` does. Without them these tests fail: nothing else would show
that a card is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from committed_models import COMMITTED, EVERY_COMMITTED, RECURRENT, link_committed_models
from fovea.client import Client
from fovea.contract.input_steps import Preprocessing
from fovea.contract.model_card import GOLDEN_FILE, MAPS_FILE, MODEL_FILE, ModelCard
from fovea.inputs.picture_steps import pixel_rows
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.images import fashion_mnist
from fovea.recipes.recipe import untrained
from fovea.runtime.golden import Golden, read_golden
from fovea.runtime.kernel_library import find_kernel_library
from servers import RunningServer, running_server

LEAST_ACCURACY = dict.fromkeys(COMMITTED, 0.925) | {
    "fashion-max-pool": 0.92,
    "fashion-simam-plug-in": 0.92,
    "fashion-vit": 0.89,
    "fashion-vit-1": 0.89,
}
OTHER_PROCESSOR = 3
"""Pictures of 10,000 on which another order of additions may turn a tie."""
MOST_ERROR = 1e-4
"""Of a float32 logit or weight, against PyTorch in float64."""
OTHER_ORDER = 4.0
"""Times that an error of float32 may differ on another processor."""
BATCH_ROWS = 32
WITHOUT_KERNELS = ("fashion-none", "fashion-vit", RECURRENT)


@dataclass(frozen=True)
class Pictures:
    """The test pictures as they are stored, and their classes."""

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]

    def rows(self, preprocessing: Preprocessing | None) -> NDArray[np.float32]:
        assert preprocessing is not None
        return pixel_rows(self.pixels[..., None], preprocessing.steps)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    data = fashion_mnist.load()
    return Pictures(data.test_images, data.test_labels)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("repository")
    link_committed_models(repository)
    with running_server(repository, "--log-level=warning") as running:
        yield running


def card_of(model: str) -> ModelCard:
    return ModelCard.read(EVERY_COMMITTED[model] / "card.json")


def golden_of(model: str) -> Golden:
    return read_golden(EVERY_COMMITTED[model] / GOLDEN_FILE)


@pytest.mark.parametrize("model", COMMITTED)
def test_a_served_model_is_as_accurate_as_its_card_says(server: RunningServer, pictures: Pictures, model: str) -> None:
    card, rows = card_of(model), pictures.rows(card_of(model).preprocessing)
    with Client(server.grpc, timeout_s=60) as client:
        logits = [
            client.infer(model, {"input": rows[begin : begin + BATCH_ROWS]}, ["logits"])["logits"]
            for begin in range(0, len(rows), BATCH_ROWS)
        ]
    right = int((np.concatenate(logits).argmax(1) == pictures.classes).sum())
    assert abs(right - card.metrics["accuracy"] * len(rows)) <= OTHER_PROCESSOR
    assert right / len(rows) >= LEAST_ACCURACY[model]
    assert card.labels == fashion_mnist.LABELS


def test_rows_of_served_models_share_batches(server: RunningServer) -> None:
    with Client(server.grpc, timeout_s=60) as client:
        assert {state.name: state.reason for state in client.models()} == dict.fromkeys(COMMITTED, "")
        assert ["batching" in client.metadata(model).properties for model in COMMITTED] == [False] * len(COMMITTED)


@pytest.mark.parametrize("model", COMMITTED)
def test_a_golden_batch_is_made_of_test_pictures(pictures: Pictures, model: str) -> None:
    golden = golden_of(model)
    expected = pictures.rows(card_of(model).preprocessing)[: golden.rows]
    assert np.array_equal(golden.inputs["input"], expected)


def errors(model: str, library: Path | None = None) -> dict[int, float]:
    """Batch size -> largest error of outputs and maps against the golden batch, in a stock session or with kernels."""
    golden = golden_of(model)
    answers = {**golden.outputs, **golden.maps}
    found: dict[int, float] = {}
    for file in (MODEL_FILE, MAPS_FILE):
        if not (path := EVERY_COMMITTED[model] / file).exists():
            continue
        options = onnxruntime.SessionOptions()
        if library is not None:
            options.register_custom_ops_library(str(library))
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for rows in range(1, golden.rows + 1):
            given = dict(
                zip(
                    names,
                    session.run(names, {key: rows_of[:rows] for key, rows_of in golden.inputs.items()}),
                    strict=True,
                )
            )
            worst = max(float(np.abs(given[name] - answers[name][:rows]).max()) for name in names)
            found[rows] = max(found.get(rows, 0.0), worst)
    return found


@pytest.mark.parametrize("runs", ["body", "kernel"])
@pytest.mark.parametrize("model", EVERY_COMMITTED)
def test_a_model_is_as_near_to_pytorch_as_its_card_says(model: str, runs: str) -> None:
    stated = {parity.runs: parity.max_abs_error for parity in card_of(model).parity}
    assert set(stated) == ({"body"} if model in WITHOUT_KERNELS else {"body", "kernel"})
    if runs not in stated:
        return
    library = find_kernel_library() if runs == "kernel" else None
    measured = errors(model, library)
    assert set(stated[runs]) == {1, 2, 7, 32}
    for rows, said in stated[runs].items():
        assert said <= MOST_ERROR
        assert measured[min(rows, len(measured))] <= OTHER_ORDER * said
    assert all(stated[runs][rows] <= OTHER_ORDER * measured[rows] for rows in (1, 2))


@pytest.mark.parametrize("model", EVERY_COMMITTED)
def test_tolerances_are_not_wider_than_the_error_explains(model: str) -> None:
    golden, card = golden_of(model), card_of(model)
    for name, answer in {**golden.outputs, **golden.maps}.items():
        assert errors(model)[golden.rows] < card.tolerances[name] < 1e-3 * max(1.0, float(np.abs(answer).max()))


@pytest.mark.parametrize("model", EVERY_COMMITTED)
def test_a_card_counts_the_parameters_of_its_network(model: str) -> None:
    assert card_of(model).parameters == sum(parameter.numel() for parameter in untrained(RECIPES[model]).parameters())
