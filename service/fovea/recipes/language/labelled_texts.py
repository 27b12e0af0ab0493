"""Texts with a class each, split into training and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

Labelled = Sequence[tuple[str, int]]
"""Texts, and the places of their labels."""


@dataclass(frozen=True)
class LabelledTexts:
    """No text is in both parts."""

    name: str
    labels: tuple[str, ...]
    train: Labelled
    test: Labelled

    @property
    def rows(self) -> int:
        """Training texts."""
        return len(self.train)

    def sample(self, rows: int) -> Self:
        """The same with so few texts in each part."""
        return replace(self, train=self.train[:rows], test=self.test[:rows])
