"""A model whose weights others have trained: fetched, not learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fovea.recipes.subject import Subject


@dataclass(frozen=True)
class Fetched:
    """`subject` fetches what it needs; Misconfigured where that cannot be had."""

    name: str
    subject: Callable[[], Subject]
