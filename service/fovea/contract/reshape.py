"""Shapes that clients see where a model's tensors have others, as Triton's `reshape` has it.

Both shapes hold as many elements. Where sizes are open, with -1, both have as many of those, in the same order, and as
many elements between them: so the one follows from the other without a look at the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape:
    """From tensors of one shape to another; both as in a card, with the batch axis where there is one."""

    from_: Shape
    to: Shape

    def shape(self, found: Shape) -> Shape:
        """What a tensor that `from_` admits becomes; ValueError where it does not."""
        if len(found) != len(self.from_) or any(map(_differ, found, self.from_)):
            raise ValueError(f"expected shape {list(self.from_)}, found {list(found)}")
        open_sizes = iter([one for one, size in zip(found, self.from_, strict=True) if size == -1])
        return tuple([next(open_sizes) if size == -1 else size for size in self.to])


def _differ(found: int, expected: int) -> bool:
    return expected not in (-1, found)


def reshape_problem(one: Shape, other: Shape) -> str | None:
    """Why tensors of these shapes do not become each other; None where they do."""
    if _elements(one) != _elements(other):
        return f"{list(one)} and {list(other)} do not hold the same elements, before, between and after sizes of -1"
    return None


def _elements(shape: Shape) -> list[int]:
    """Of the parts between sizes that are open."""
    parts: list[list[int]] = [[]]
    for size in shape:
        if size == -1:
            parts.append([])
        else:
            parts[-1].append(size)
    return [prod(part) for part in parts]
