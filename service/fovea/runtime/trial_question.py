"""What a trial is asked, and what it answers: a line of JSON each, between this process and its child."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fovea.runtime.attention_seen import Seen
from fovea.runtime.batching_choice import Wish
from fovea.runtime.cost import BatchCost
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.row_verdicts import RowVerdict

UNTRIED = RowVerdict("untried", "it could not be run on this machine's processor to see whether rows are independent")


@dataclass(frozen=True)
class Trial:
    """The version in `folder` to try, as `card` (JSON) describes it, or as it is without one."""

    folder: str
    file: str
    """Name of the model's file in the folder."""
    named: tuple[str, ...]
    """Inputs that its configuration names."""
    rows: int
    """Rows in the largest batch that will be made."""
    card: str | None
    wish: Wish
    """Who wants batches, where there is a card or nothing else is known."""
    library: str | None
    """Kernels that the version will be tried with, after its bodies."""
    race: bool
    """Whether kernels have to be as quick as the bodies."""
    measure: bool
    """Whether to measure what batches cost, of bodies or kernels, whichever will run."""
    threads: int
    """Threads that one run may use."""
    custom_op_libraries: tuple[str, ...]
    arena: bool
    seconds: int
    memory_bytes: int

    def to_line(self) -> bytes:
        """One line of JSON, as the child reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True)
class Tried:
    """What came of the trial of a version that can be served."""

    rows: RowVerdict
    """What was seen of its rows, where batches are wanted."""
    padding_harm: Mapping[str, str] = field(default_factory=dict)
    """Length -> how padding it changes answers, for those where it does."""
    longest: Mapping[str, int] = field(default_factory=dict)
    """Length -> the longest that it takes, for those where that is the last bucket."""
    seen: Seen = field(default_factory=Seen)
    """The attention in its file, where nobody says that it has any."""
    obstacle: Obstacle | None = None
    """Why its bodies run in place of kernels: these ended or held up the process, took too much memory, or lost."""
    cost: BatchCost | None = None
    """What batches cost on the processor; None where that was not measured."""

    @classmethod
    def of_json(cls, facts: dict[str, Any]) -> Tried:
        rows, seen, lost, cost = (
            RowVerdict(**facts["rows"]),
            Seen.of_json(facts["seen"]),
            facts["obstacle"],
            facts["cost"],
        )
        obstacle = None if lost is None else Obstacle(Cause(lost["cause"]), lost["reason"])
        measured = None if cost is None else BatchCost.of_points(**cost)
        return cls(rows, facts["padding_harm"], facts["longest"], seen, obstacle, measured)

    def to_json(self) -> dict[str, Any]:
        """What `of_json` reads back."""
        cost = None if self.cost is None else {"points": list(self.cost.points()), "names": self.cost.names}
        return asdict(replace(self, cost=None)) | {"cost": cost}
