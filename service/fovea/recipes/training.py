"""Seeded training on the CPU: the same recipe, data, number of threads and kind of CPU give the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from fovea.contract.model_card import Training
from fovea.recipes.recipe import D, Recipe, Schedule, Trained, untrained

Progress = Callable[[int, int, float], None]
"""Called after every step with: steps done, steps in all, loss."""


def silent(done: int, steps: int, loss: float) -> None:
    """Shows no progress."""


def train(recipe: Recipe[D], data: D, progress: Progress = silent) -> Trained:
    """Train the recipe's network on `data` and measure it."""
    module = untrained(recipe)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions: a fifth faster on one AVX-512 core
    module.train()
    _fit(module, recipe, data, progress)
    module.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    training = Training(data=data.name, seed=recipe.seed, epochs=recipe.schedule.epochs, rows=data.rows)
    return Trained(module, recipe.evaluation(module, data), training)


def _fit(module: nn.Module, recipe: Recipe[D], data: D, progress: Progress) -> None:
    schedule = recipe.schedule
    steps = schedule.epochs * (data.rows // schedule.batch_rows)
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.peak_learning_rate, total_steps=steps, pct_start=0.2)
    generator = torch.Generator().manual_seed(recipe.seed)
    for done, chosen in enumerate(_orders(schedule, data.rows, generator), start=1):
        with _precision(schedule):
            loss = recipe.loss(module, data, chosen, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rate.step()
        progress(done, steps, loss.item())


def _orders(schedule: Schedule, rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The indices of each batch, epoch by epoch, in a new order each; an incomplete last batch is left out."""
    for _ in range(schedule.epochs):
        order = torch.randperm(rows, generator=generator)
        yield from torch.split(order, schedule.batch_rows)[: rows // schedule.batch_rows]


def _precision(schedule: Schedule) -> torch.autocast:
    """Mixed precision where it pays: 20 instead of 56 s of one AVX-512 core per epoch; slower on older CPUs."""
    enabled = schedule.bfloat16 and "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)
