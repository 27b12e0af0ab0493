"""Seeded training on the CPU: the same recipe, data, number of threads and kind of CPU give the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol

import torch
from torch import Tensor, nn

from fovea.contract.model_card import Training
from fovea.recipes.recipe import ContinuedRecipe, D, Recipe, Schedule, Trained, untrained

Progress = Callable[[int, int, float], None]
"""Called after every step with: steps done, steps in all, loss."""


def silent(done: int, steps: int, loss: float) -> None:
    """Shows no progress."""


class Epochs(Protocol):
    """Where an unfinished training is kept between its epochs, so that an interrupted one goes on there."""

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last; None: nothing."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep this instead of what was saved before."""


def train(
    recipe: Recipe[D],
    data: D,
    progress: Progress = silent,
    weights: Mapping[str, Tensor] | None = None,
    epochs: Epochs | None = None,
) -> Trained:
    """Train the recipe's network on `data`, from `weights` where there are some, and measure it.

    With `epochs` it goes on after the last epoch saved there, to the weights that it would have had in one go.
    """
    module = untrained(recipe)
    if weights is not None:
        module.load_state_dict(weights)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions: a fifth faster on one AVX-512 core
    module.train()
    if recipe.schedule.epochs:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            _Run(module, recipe, data).fit(progress, epochs)
    module.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return Trained(module, recipe.evaluation(module, data), _origin(recipe, data))


def _origin(recipe: Recipe[D], data: D) -> Training:
    start = recipe.start.name if isinstance(recipe, ContinuedRecipe) else None
    epochs = recipe.schedule.epochs
    return Training(data=data.name, seed=recipe.seed, epochs=epochs, rows=data.rows, started_from=start)


class _Run(Generic[D]):
    """One training between its first and its last step."""

    def __init__(self, module: nn.Module, recipe: Recipe[D], data: D) -> None:
        self._module, self._recipe, self._data = module, recipe, data
        schedule = recipe.schedule
        self._epoch_steps = data.rows // schedule.batch_rows  # an incomplete last batch is left out
        self._steps = schedule.epochs * self._epoch_steps
        self._optimizer = torch.optim.AdamW(module.parameters(), weight_decay=schedule.weight_decay)
        self._rate = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, schedule.peak_learning_rate, total_steps=self._steps, pct_start=0.2
        )
        self._generator = torch.Generator().manual_seed(recipe.seed)

    def fit(self, progress: Progress, epochs: Epochs | None) -> None:
        """Do all epochs, or those that are left."""
        saved = epochs.load() if epochs else None
        first = self._restore(saved) if saved else 0
        for epoch in range(first, self._recipe.schedule.epochs):
            self._epoch(epoch * self._epoch_steps, progress)
            if epochs and epoch + 1 < self._recipe.schedule.epochs:
                epochs.save(self._state(epoch + 1))

    def _epoch(self, done: int, progress: Progress) -> None:
        """All examples once, in a new order."""
        schedule, data = self._recipe.schedule, self._data
        order = torch.randperm(data.rows, generator=self._generator)
        for step in range(self._epoch_steps):
            chosen = order[step * schedule.batch_rows : (step + 1) * schedule.batch_rows]
            with _precision(schedule):
                loss = self._recipe.loss(self._module, data, chosen, self._generator)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._rate.step()
            progress(done + step + 1, self._steps, loss.item())

    def _state(self, epochs_done: int) -> dict[str, Any]:
        parts = {"module": self._module, "optimizer": self._optimizer, "rate": self._rate}
        states = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
        random = {"generator": self._generator.get_state(), "torch": torch.get_rng_state()}
        return {"epochs": epochs_done, **states, **random}

    def _restore(self, state: Mapping[str, Any]) -> int:
        """How many epochs have been done."""
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rate.load_state_dict(state["rate"])
        self._generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        return int(state["epochs"])


def _precision(schedule: Schedule) -> torch.autocast:
    """Mixed precision where it pays: 20 instead of 56 s of one AVX-512 core per epoch; slower on older CPUs."""
    enabled = schedule.bfloat16 and "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)
