"""Sequences of any length: which axes are lengths, what fills the end of a short one, and which lengths are run.

Requests of one bucket share a batch: the short ones are filled up, a mask tells the model how far each one goes, and
the filling is cut off the answers again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import chain, pairwise
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fovea.contract.datatypes import DATATYPES, Kind

DEFAULT_BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Up to the 512 tokens that most encoders take; each is at most 1.5 times the one before, so that the longest and the
shortest of a bucket differ by a third."""
MOST_BUCKETS = 64
"""Each is run at warm-up."""

Axis = Annotated[int, Field(gt=0)]
Length = Annotated[int, Field(gt=0, le=1 << 20)]


def buckets_up_to(longest: int, buckets: Iterable[int] = DEFAULT_BUCKETS) -> tuple[int, ...]:
    """The buckets below `longest`, and `longest` itself where they would go on."""
    buckets = tuple(buckets)
    kept = tuple(bucket for bucket in buckets if bucket <= longest)
    return kept if kept == buckets or longest in kept else (*kept, longest)


class Tensor(Protocol):
    """A named tensor of a model; see `fovea.contract.model_card.TensorSpec`."""

    @property
    def name(self) -> str: ...

    @property
    def datatype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


class SequenceSpec(BaseModel):
    """How a model takes sequences. Axes are counted with the batch axis, which is 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    inputs: dict[str, Axis] = Field(min_length=1)
    """Input -> its axis that runs along the sequence. A request's inputs all have the same length there."""
    outputs: dict[str, tuple[Axis, ...]] = {}
    """Output or map -> its axes that are as long as the sequence; filling is cut off them."""
    mask: str | None = None
    """An input (rows, length) that the server makes: 1 or true where there is data. A client may send its own."""
    padding: dict[str, float] = {}
    """Input -> what it is filled up with; 0 where nothing is said."""
    buckets: tuple[Length, ...] = Field(default=DEFAULT_BUCKETS, min_length=1, max_length=MOST_BUCKETS)
    """Ascending lengths that sequences are grouped by; a sequence longer than the last one shares its batch with those
    of its own length only."""
    longest: Length | None = None
    """The longest sequence that the model can run; longer ones are refused. None: no limit is known."""
    padded: bool = True
    """Whether short sequences may be filled up to share a batch with longer ones. False where filling changes answers:
    only sequences of equal length then share a batch."""

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
    def _buckets_can_be_run(self) -> SequenceSpec:
        if self.longest is not None and self.buckets[-1] > self.longest:
            raise ValueError(f"bucket {self.buckets[-1]} is above longest, {self.longest}")
        return self

    @property
    def lengths(self) -> dict[str, int]:
        """Every input with a length, the mask too -> its axis."""
        return self.inputs if self.mask is None else {**self.inputs, self.mask: 1}

    def bucket(self, length: int) -> int:
        """The smallest bucket that holds this length; beyond the last one, the length itself."""
        place = bisect_left(self.buckets, length)
        return self.buckets[place] if place < len(self.buckets) else length


class SequenceChanges(SequenceSpec):
    """What is said besides, or in place of, what is known of a model's sequences."""

    inputs: dict[str, Axis] = {}

    @model_validator(mode="before")
    @classmethod
    def _buckets_end_at_the_longest(cls, facts: Any) -> Any:
        """What is said alone has no buckets of its own yet."""
        return facts

    @model_validator(mode="after")
    def _buckets_can_be_run(self) -> SequenceChanges:
        return self

    def of(self, known: SequenceSpec | None) -> SequenceSpec:
        """What is known with these changes, tables merged entry by entry; a ValidationError where that does not fit."""
        facts = known.model_dump() if known else {}
        said = self.model_dump(include=self.model_fields_set)
        if known and self.longest is not None and "buckets" not in said:
            said["buckets"] = buckets_up_to(self.longest, known.buckets)
        merged = {name: {**facts.get(name, {}), **new} if isinstance(new, dict) else new for name, new in said.items()}
        return SequenceSpec.model_validate(facts | merged)


def problem_of(
    sequence: SequenceSpec, inputs: Iterable[Tensor], outputs: Iterable[Tensor], maps: Iterable[Tensor]
) -> str | None:
    """Why a model that batches and has these tensors cannot be served so; None where it can."""
    by_name = {tensor.name: tensor for tensor in inputs}
    answers = {tensor.name: tensor for tensor in (*outputs, *maps)}
    found = chain(  # in this order: the later ones rely on what the earlier ones saw
        (_input_problem(name, axis, by_name) for name, axis in sequence.inputs.items()),
        (_padding_problem(name, value, sequence, by_name) for name, value in sequence.padding.items()),
        (_output_problem(name, axes, answers) for name, axes in sequence.outputs.items()),
        (_silence_problem(tensor, sequence) for tensor in answers.values()),
        (_mask_problem(name, sequence, by_name) for name in [sequence.mask] if name is not None),
    )
    return next((problem for problem in found if problem is not None), None)


def _input_problem(name: str, axis: int, inputs: Mapping[str, Tensor]) -> str | None:
    if name not in inputs:
        return f"inputs: unknown input '{name}', the model has {list(inputs)}"
    if inputs[name].datatype == "BYTES":
        return f"inputs: '{name}' is BYTES, which has no padding"
    return _axis_problem(f"inputs: '{name}'", axis, inputs[name].shape)


def _axis_problem(what: str, axis: int, shape: tuple[int, ...]) -> str | None:
    if axis >= len(shape):
        return f"{what} has shape {list(shape)}, and no axis {axis}"
    if shape[axis] != -1:
        return f"{what} has shape {list(shape)}: axis {axis} must be dynamic (-1) to be a length"
    return None


def _padding_problem(name: str, value: float, sequence: SequenceSpec, inputs: Mapping[str, Tensor]) -> str | None:
    if name not in sequence.inputs:
        return f"padding: '{name}' is none of the sequence's inputs, {list(sequence.inputs)}"
    datatype = inputs[name].datatype
    facts = DATATYPES[datatype]
    assert facts.range is not None  # texts have no length
    least, most = facts.range
    if least <= value <= most and (facts.kind is Kind.FLOAT or value == int(value)):
        return None
    return f"padding: {value:g} does not fit '{name}', which is {datatype} ({least} to {most})"


def _output_problem(name: str, axes: tuple[int, ...], answers: Mapping[str, Tensor]) -> str | None:
    if name not in answers:
        return f"outputs: unknown output or map '{name}', the model has {list(answers)}"
    found = (_axis_problem(f"outputs: '{name}'", axis, answers[name].shape) for axis in axes)
    return next((problem for problem in found if problem is not None), None)


def _silence_problem(tensor: Tensor, sequence: SequenceSpec) -> str | None:
    """An axis of unknown size may be a length: nobody should get padding for an answer because nothing was said."""
    if tensor.name in sequence.outputs or -1 not in tensor.shape[1:]:
        return None
    return f"outputs: say which axes of '{tensor.name}', shape {list(tensor.shape)}, are lengths; [] where none is"


def _mask_problem(name: str, sequence: SequenceSpec, inputs: Mapping[str, Tensor]) -> str | None:
    if name not in inputs:
        return f"mask: unknown input '{name}', the model has {list(inputs)}"
    if name in sequence.inputs:
        return f"mask: '{name}' is listed among the sequence's inputs; name it as the mask only"
    mask = inputs[name]
    if mask.datatype == "BYTES" or mask.shape != (-1, -1):
        return f"mask: '{name}' is {mask.datatype}{list(mask.shape)}; expected numbers or BOOL of shape [-1, -1]"
    return None
