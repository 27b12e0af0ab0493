"""model.toml: how a model's owner wants it served."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ModelBroken
from fovea.contract.lengths import MOST_LENGTHS, SEQUENCE, LengthChanges, LengthName
from fovea.contract.model_card import MOST_BATCH_ROWS
from fovea.contract.validation import first_problem
from fovea.runtime.files import require_small
from fovea.runtime.session_choices import SessionChoices

CHOICES_FILE = "model.toml"
_MOST_CHOICES_BYTES = 64 << 10
_MOST_DOTS = 32
"""In a line: what a key of n parts takes to read grows with the square of n, and later lines may repeat it."""

Version = Annotated[int, Field(gt=0)]


class _Choices(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latest(_Choices):
    """The `latest` highest version numbers."""

    latest: int = Field(gt=0)


class ServingChoices(_Choices):
    """What `model.toml` says; the server's settings hold where it says nothing."""

    versions: Literal["latest", "all"] | Latest | tuple[Version, ...] = "latest"
    """`"latest"`, `{latest = 2}`, `"all"` or a list such as `[1, 3]`."""
    attention: AttentionType | None = None
    """The type that the model's metrics bear, instead of what its card says or its file shows."""
    batched: bool | None = None
    """Whether requests share batches: true also where rows seem to influence each other, false in no case."""
    max_batch_rows: int | None = Field(default=None, gt=0, le=MOST_BATCH_ROWS)
    max_queue_delay_s: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    batch_rows: int | None = Field(default=None, gt=0, le=MOST_BATCH_ROWS)
    """Rows in a batch where that many wait, instead of as many as were measured to pay."""
    sequence: LengthChanges | None = None
    """Which axes are lengths, in a model that has one; goes before what the card says of it."""
    lengths: dict[LengthName, LengthChanges] = Field(default={}, max_length=MOST_LENGTHS)
    """The same by the lengths' names, for any number of them."""
    preferred_batch_rows: tuple[Annotated[int, Field(gt=0, le=MOST_BATCH_ROWS)], ...] = ()
    """Sizes of batch to make where enough waits; a batch of such a size waits for no company."""
    max_batch_elements: int | None = Field(default=None, gt=0)
    """Most rows times padded length, all lengths added up, in a batch."""
    max_queue: int | None = Field(default=None, gt=0)
    """Most requests waiting."""
    default_timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How long a request that says nothing may wait in the queue."""
    priority_levels: int = Field(default=0, ge=0, le=1000)
    """1 goes first; 0: the priorities that requests ask for mean nothing."""
    default_priority: int = Field(default=0, ge=0)
    """Level of a request that asks for none, or for one that there is not; 0: the last one."""
    cache: bool = False
    """Keep answers, where the server has room for them: same request, same answer, without a run."""
    instances: int = Field(default=1, gt=0, le=64)
    """Sessions, each with its own worker, per version."""
    session: SessionChoices = SessionChoices()
    """How they are opened."""

    @property
    def named_lengths(self) -> dict[str, LengthChanges]:
        """What is said of lengths, in either form."""
        return self.lengths if self.sequence is None else {SEQUENCE: self.sequence}

    @model_validator(mode="after")
    def _lengths_have_one_form(self) -> ServingChoices:
        if self.sequence is not None and self.lengths:
            raise ValueError(f"[{SEQUENCE}] and [lengths.{next(iter(self.lengths))}]: say one of them")
        return self

    @model_validator(mode="after")
    def _default_is_a_level(self) -> ServingChoices:
        if self.default_priority > self.priority_levels:
            raise ValueError(
                f"default_priority {self.default_priority} is above priority_levels {self.priority_levels}"
            )
        return self


def read_choices(folder: Path) -> ServingChoices | None:
    """What a folder's model.toml says; None where there is none, ModelBroken where it cannot be understood."""
    path = folder / CHOICES_FILE
    try:
        if not (path.exists() or path.is_symlink()):
            return None
        require_small(folder, CHOICES_FILE, _MOST_CHOICES_BYTES)
        return ServingChoices.model_validate(_parsed(path.read_text("utf-8-sig")))
    except ValidationError as error:
        problem = first_problem(error)
        raise ModelBroken(f"{path.name}: {problem.where or 'file'}: {problem.told}") from error
    except OSError as error:  # its own words would tell the whole path
        raise ModelBroken(f"{path.name} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ModelBroken(f"{path.name}: brackets in brackets, too many deep") from error
    except ValueError as error:
        raise ModelBroken(f"{path.name}: {error}") from error


def _parsed(text: str) -> dict[str, Any]:
    """What the text says, in time that grows with its length; ValueError where it is not understood."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS:
            raise ValueError(f"line {number} has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)
