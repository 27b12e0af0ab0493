"""Seeded training on the CPU: the same recipe, data, number of threads and kind of CPU give the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.model_card import Training
from fovea.recipes.augmentation import augment, normalise
from fovea.recipes.dataset import ImageDataset, Images, Labels
from fovea.recipes.recipe import Recipe, Schedule

Progress = Callable[[int, int, float], None]
"""Called after every step with: steps done, steps in all, loss."""

_EVALUATION_ROWS = 500


@dataclass(frozen=True)
class Trained:
    """A trained module in evaluation mode, its accuracy on the test images (0 to 1), and where it comes from."""

    module: nn.Module
    accuracy: float
    parameters: int
    training: Training


def silent(done: int, steps: int, loss: float) -> None:
    """Shows no progress."""


def train(recipe: Recipe, data: ImageDataset, progress: Progress = silent) -> Trained:
    """Train the recipe's network on `data` and measure it on the test images."""
    module = recipe.build()
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on one AVX-512 core
    _fit(module, recipe, data, progress)
    module.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return Trained(
        module=module,
        accuracy=accuracy(module, recipe, data.test_images, data.test_labels),
        parameters=count_parameters(module),
        training=Training(data=data.name, seed=recipe.seed, epochs=recipe.epochs, rows=len(data.train_images)),
    )


def accuracy(module: nn.Module, recipe: Recipe, images: Images, labels: Labels) -> float:
    """Share of the images (N, H, W) whose largest logit is their label."""
    correct = 0
    with torch.no_grad():
        for first in range(0, len(images), _EVALUATION_ROWS):
            part = slice(first, first + _EVALUATION_ROWS)
            logits = module(normalise(torch.tensor(images[part]), recipe.preprocessing))
            correct += int((logits.argmax(1) == torch.tensor(labels[part])).sum())
    return correct / len(images)


def count_parameters(module: nn.Module) -> int:
    """Trained numbers; running statistics do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def _fit(module: nn.Module, recipe: Recipe, data: ImageDataset, progress: Progress) -> None:
    schedule = recipe.schedule
    steps = schedule.epochs * (len(data.train_images) // schedule.batch_rows)
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.peak_learning_rate, total_steps=steps, pct_start=0.2)
    module.train()
    for done, (images, labels) in enumerate(_batches(recipe, data), start=1):
        with _precision(schedule):
            loss = F.cross_entropy(module(images), labels, label_smoothing=schedule.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rate.step()
        progress(done, steps, loss.item())


def _precision(schedule: Schedule) -> torch.autocast:
    """Mixed precision where it pays: 20 instead of 56 s of one AVX-512 core per epoch; slower on older CPUs."""
    enabled = schedule.bfloat16 and "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def _batches(recipe: Recipe, data: ImageDataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Every epoch's batches in a new order; the last, incomplete batch of an epoch is left out."""
    generator = torch.Generator().manual_seed(recipe.seed)
    images, labels = torch.tensor(data.train_images), torch.tensor(data.train_labels)
    rows = recipe.schedule.batch_rows
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in torch.split(order, rows)[: len(images) // rows]:
            pixels = augment(images[chosen], recipe.schedule, generator)
            batch = normalise(pixels, recipe.preprocessing).contiguous(memory_format=torch.channels_last)
            yield batch, labels[chosen]
