"""Named lengths: which axes of a model's tensors are as long as its `source` or its `target`, and what follows.

Requests whose lengths fall into the same buckets share a batch: the short ones are filled up, a mask for each length
tells the model how far each one goes, and the filling is cut off the answers again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from fovea.contract.facts import Facts
from fovea.contract.validation import first_problem

SEQUENCE = "sequence"
"""Name of the length of a model that has one and gives it no name: `[sequence]` in model.toml, `sequence` in a card."""
MOST_LENGTHS = 6
DEFAULT_BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Up to the 512 tokens that most encoders take; each is at most 1.5 times the one before, so that the longest and the
shortest of a bucket differ by a third."""
MOST_BUCKETS = 64
"""Each is run at warm-up."""

Lengths = tuple[int, ...]
"""A number for each length of a model, in its card's order; empty for a model that has none."""
LengthName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Axis = Annotated[int, Field(gt=0)]
Size = Annotated[int, Field(gt=0, le=1 << 20)]


def buckets_up_to(longest: int, buckets: Iterable[int] = DEFAULT_BUCKETS) -> tuple[int, ...]:
    """The buckets below `longest`, and `longest` itself where they would go on."""
    buckets = tuple(buckets)
    kept = tuple(bucket for bucket in buckets if bucket <= longest)
    return kept if kept == buckets or longest in kept else (*kept, longest)


class LengthSpec(Facts):
    """One length of a model. Axes are counted with the batch axis, which is 0."""

    inputs: dict[str, Axis] = Field(min_length=1)
    """Input -> its axis of this length. A request's inputs all have the same size there."""
    outputs: dict[str, tuple[Axis, ...]] = Field(default={})
    """Output or map -> its axes of this length; filling is cut off them."""
    mask: str | None = None
    """An input (rows, length) that the server makes: 1 or true where there is data. A client may send its own."""
    padding: dict[str, float] = Field(default={})
    """Input -> what it is filled up with; 0 where nothing is said."""
    buckets: tuple[Size, ...] = Field(default=DEFAULT_BUCKETS, min_length=1, max_length=MOST_BUCKETS)
    """Ascending sizes that requests are grouped by; one beyond the last shares its batch with its own size only."""
    longest: Size | None = None
    """The largest size that the model can run; larger ones are refused. None: no limit is known."""
    padded: bool = True
    """Whether short requests may be filled up to share a batch with longer ones. False where filling changes answers:
    only requests of equal length then share a batch."""

    @field_validator("buckets")
    @classmethod
    def _ascending(cls, buckets: tuple[int, ...]) -> tuple[int, ...]:
        if any(first >= second for first, second in pairwise(buckets)):
            raise ValueError(f"buckets must ascend, {list(buckets)} do not")
        return buckets

    @model_validator(mode="before")
    @classmethod
    def _buckets_end_at_the_longest(cls, facts: Any) -> Any:
        """Where a limit is given and no buckets are: the usual ones, as far as the model goes."""
        longest = facts.get("longest") if isinstance(facts, dict) and "buckets" not in facts else None
        return {**facts, "buckets": buckets_up_to(longest)} if isinstance(longest, int) and longest > 0 else facts

    @model_validator(mode="after")
    def _buckets_can_be_run(self) -> LengthSpec:
        if self.longest is not None and self.buckets[-1] > self.longest:
            raise ValueError(f"bucket {self.buckets[-1]} is above longest, {self.longest}")
        return self

    @property
    def axes(self) -> dict[str, int]:
        """Every input with this length, the mask too -> its axis."""
        return self.inputs if self.mask is None else {**self.inputs, self.mask: 1}

    def bucket(self, length: int) -> int:
        """The smallest bucket that holds this length; beyond the last one, the length itself."""
        place = bisect_left(self.buckets, length)
        return self.buckets[place] if place < len(self.buckets) else length


NamedLengths = Mapping[str, LengthSpec]


class LengthChanges(LengthSpec):
    """What is said besides, or in place of, what is known of a length."""

    inputs: dict[str, Axis] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _buckets_end_at_the_longest(cls, facts: Any) -> Any:
        """What is said alone has no buckets of its own yet."""
        return facts

    @model_validator(mode="after")
    def _buckets_can_be_run(self) -> LengthChanges:
        return self

    def of(self, known: LengthSpec | None) -> LengthSpec:
        """What is known with these changes, tables merged entry by entry; a ValidationError where that does not fit."""
        facts = known.model_dump() if known else {}
        said = self.model_dump(include=self.model_fields_set)
        if known and self.longest is not None and "buckets" not in said:
            said["buckets"] = buckets_up_to(self.longest, known.buckets)
        merged = {name: {**facts.get(name, {}), **new} if isinstance(new, dict) else new for name, new in said.items()}
        return LengthSpec.model_validate(facts | merged)


def own_name(said: str, known: NamedLengths) -> str:
    """The length that is meant: `sequence` is the only one of a model that has one, whatever its name is."""
    return next(iter(known)) if said == SEQUENCE and len(known) == 1 else said


def changed(known: NamedLengths, said: Mapping[str, LengthChanges]) -> dict[str, LengthSpec]:
    """What is known with what is said, name by name; a ValueError where that does not fit."""
    lengths = dict(known)
    for name, changes in said.items():
        if name == SEQUENCE and name not in known and len(known) > 1:
            raise ValueError(f"{place_of(name)}: the model has the lengths {', '.join(known)}: say which one is meant")
        own = own_name(name, known)
        try:
            lengths[own] = changes.of(known.get(own))
        except ValidationError as error:
            problem = first_problem(error)
            raise ValueError(": ".join(filter(None, (place_of(name), problem.where, problem.told)))) from error
    if len(lengths) > MOST_LENGTHS:
        raise ValueError(f"lengths: expected at most {MOST_LENGTHS}, there are {len(lengths)}")
    return lengths


def place_of(name: str) -> str:
    """Where a card, or a model.toml, tells of a length."""
    return name if name == SEQUENCE else f"lengths.{name}"


def filling_of(lengths: NamedLengths) -> dict[str, float]:
    """Input -> what it is filled up with, for those that are not filled up with 0."""
    return {name: value for length in lengths.values() for name, value in length.padding.items()}


def masks_of(lengths: NamedLengths) -> frozenset[str]:
    """The inputs that the server makes where a request leaves them out."""
    return frozenset(length.mask for length in lengths.values() if length.mask is not None)


def input_axes(lengths: NamedLengths) -> dict[str, dict[int, int]]:
    """Input -> its axes that are lengths -> the place of each one's length."""
    axes: dict[str, dict[int, int]] = {}
    for place, length in enumerate(lengths.values()):
        for name, axis in length.axes.items():
            axes.setdefault(name, {})[axis] = place
    return axes


def output_axes(lengths: NamedLengths) -> dict[str, dict[int, int]]:
    """Output or map -> its axes that are lengths -> the place of each one's length."""
    axes: dict[str, dict[int, int]] = {}
    for place, length in enumerate(lengths.values()):
        for name, own in length.outputs.items():
            axes.setdefault(name, {}).update(dict.fromkeys(own, place))
    return axes
