"""Every recipe of the catalogue, all the way on a few real examples: trained for a moment, exported, served, asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from numpy.typing import NDArray

from fovea.export.spinner import export_subject
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.recipe import Recipe, Schedule
from fovea.recipes.training import train
from servers import RunningServer, running_server, total, wait_until
from triton_calls import inputs

EXAMPLES = 48
"""At least as many as an export looks at."""
MOST_ERROR = 1e-3
"""Of float32 against PyTorch's float64."""


class Brief:
    """A recipe that is trained in a few steps."""

    def __init__(self, recipe: Recipe[Any]) -> None:
        self._recipe = recipe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    @property
    def schedule(self) -> Schedule:
        whole = self._recipe.schedule
        return replace(whole, epochs=min(1, whole.epochs), batch_rows=EXAMPLES // 3)


@dataclass(frozen=True)
class Question:
    """Two rows, and what the module says of them."""

    rows: Mapping[str, NDArray[Any]]
    output: str
    answer: NDArray[Any]
    attention: str


class Published:
    """A repository, and a question to each model that a recipe was made into."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.questions: dict[str, Question] = {}

    def question(self, name: str) -> Question:
        """Made when it is first asked for."""
        if name not in self.questions:
            self.questions[name] = _published(RECIPES[name], self.repository)
        return self.questions[name]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def server(published: Published) -> Iterator[RunningServer]:
    """With what has been published until now: by the test of each recipe."""
    with running_server(published.repository, "--log-level=warning") as server:
        yield server


def _published(recipe: Recipe[Any], repository: Path) -> Question:
    data = recipe.data().sample(EXAMPLES)
    subject = recipe.subject(train(Brief(recipe), data), data)
    export_subject(subject, repository)
    rows = {name: np.asarray(values) for name, values in subject.rows(2).items()}
    with torch.no_grad():
        answers = subject.module.double()(*(_exact(values) for values in rows.values()))
    first = answers if isinstance(answers, torch.Tensor) else answers[0]
    return Question(rows, subject.output_names[0], first.numpy(), str(subject.attention))


def _exact(values: NDArray[Any]) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    return tensor.double() if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_trained_and_exported(published: Published, name: str) -> None:
    question = published.question(name)
    assert (published.repository / name / "1" / "card.json").is_file()
    assert np.isfinite(question.answer).all()


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_makes_is_served_and_answers_as_its_module_does(
    published: Published, server: RunningServer, name: str
) -> None:
    if name not in published.questions:
        pytest.skip(f"{name} was not published")
    question = published.question(name)
    with triton.InferenceServerClient(server.grpc) as client:
        answer = client.infer(name, inputs(question.rows)).as_numpy(question.output)
    np.testing.assert_allclose(answer, question.answer, rtol=MOST_ERROR, atol=MOST_ERROR)
    count = "fovea_request_duration_seconds_count"
    asked = {"model": name, "attention": question.attention, "outcome": "ok"}
    wait_until(lambda: total(server.samples(), count, **asked) == 1)  # it is counted after its answer
