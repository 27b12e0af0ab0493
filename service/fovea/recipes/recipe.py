"""What a recipe is: data, network, loss, evaluation, and the subject that is exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from fovea.contract.model_card import Training
from fovea.recipes.subject import Subject


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train. The learning rate rises to its peak and falls to nought in one cycle."""

    epochs: int
    batch_rows: int = 128
    peak_learning_rate: float = 4e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    bfloat16: bool = False
    """Multiply in bfloat16 while training, where the CPU has AVX-512; weights and attention stay float32."""


@dataclass(frozen=True)
class Trained:
    """A trained module in evaluation mode, what was measured on the test data, and where it comes from."""

    module: nn.Module
    metrics: Mapping[str, float]
    training: Training


class DataSet(Protocol):
    """What a recipe learns from; what else is in it only the recipe knows."""

    @property
    def name(self) -> str:
        """The data set's name, as the card gives it."""

    @property
    def rows(self) -> int:
        """Training examples, the same ones in every epoch."""

    def sample(self, rows: int) -> Self:
        """The first `rows` training and test examples, for a try in seconds."""


D = TypeVar("D", bound=DataSet)


class Recipe(Protocol[D]):
    """One model: everything that decides its weights, and what its card says. `D` is the data that it learns from."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def schedule(self) -> Schedule:
        """How it is trained."""

    @property
    def seed(self) -> int:
        """Seed of its first weights and of the order of its data."""

    def data(self) -> D:
        """The data, fetched on first use. Misconfigured where it cannot be had."""

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""

    def loss(self, module: nn.Module, data: D, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """What the training examples of these indices cost. Random changes of them are drawn from `generator`."""

    def evaluation(self, module: nn.Module, data: D) -> Mapping[str, float]:
        """What a card says of the module, measured on the test data: {"accuracy": 0.931}."""

    def subject(self, trained: Trained, data: D) -> Subject:
        """What is exported: the module, real rows of its input, and what its card says of them."""

    def facts(self) -> Mapping[str, Any]:
        """Whatever else decides the weights, as JSON has it."""


@runtime_checkable
class ContinuedRecipe(Recipe[D], Protocol[D]):
    """A recipe whose training goes on from the weights of another one."""

    @property
    def start(self) -> Recipe[Any]:
        """The recipe whose trained weights fit this one's network, name by name."""


@runtime_checkable
class ComparedRecipe(Recipe[D], Protocol[D]):
    """A recipe whose card tells too what others reach on the same data."""

    @property
    def others(self) -> Mapping[str, Recipe[Any]]:
        """{"without_pretraining": ...}: its accuracy is the card's `accuracy_without_pretraining`."""


def untrained(recipe: Recipe[Any]) -> nn.Module:
    """The untrained network; the same weights every time, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return recipe.network()


def fingerprint(recipe: Recipe[Any]) -> str:
    """A hash of all that decides the weights: it changes where they would."""
    module = untrained(recipe)
    facts = {
        "name": recipe.name,
        "seed": recipe.seed,
        "schedule": asdict(recipe.schedule),
        "facts": recipe.facts(),
        "structure": str(module),
        "shapes": {key: list(value.shape) for key, value in module.state_dict().items()},
    }
    if isinstance(recipe, ContinuedRecipe):
        facts["start"] = fingerprint(recipe.start)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
