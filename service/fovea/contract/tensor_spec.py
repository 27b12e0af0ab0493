"""A named tensor: its datatype, and its shape as far as it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import FailFast, Field

from fovea.contract.datatypes import DATATYPES
from fovea.contract.facts import Facts

if TYPE_CHECKING:
    DatatypeName = str
else:
    DatatypeName = Literal[tuple(DATATYPES)]


class TensorSpec(Facts):
    """A named tensor. `shape` has -1 for a dynamic axis; in a model that batches, axis 0 is -1, the batch."""

    name: str = Field(min_length=1)
    datatype: DatatypeName
    shape: tuple[int, ...]

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape will do; where it leaves a size open, with -1, so must this one."""
        own = self.shape
        if len(shape) != len(own):
            return False
        for size, expected in zip(shape, own, strict=True):  # noqa: SIM110 (all() takes twice as long, for every request)
            if size != expected and expected != -1:
                return False
        return True


TensorSpecs = Annotated[tuple[TensorSpec, ...], FailFast()]
"""Read as far as the first that is wrong: a card has room for 900,000 mistakes, and no other thread runs while they are
collected."""
