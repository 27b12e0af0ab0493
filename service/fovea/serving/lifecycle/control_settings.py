"""How models come and go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ControlMode = Literal["none", "poll", "explicit"]
EVERY_MODEL = "*"


@dataclass(frozen=True)
class ControlSettings:
    """How models come and go after the start."""

    repository: Path
    mode: ControlMode = "none"
    poll_s: float = 5.0
    load_models: frozenset[str] = frozenset()
    """With mode explicit: what to load at start; "*" is every model."""
    patience_s: float = 30.0
    """How long an unload waits for the last requests of what it unloads."""
