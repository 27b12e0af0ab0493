"""What `model.toml` says, under [session], of the ONNX Runtime sessions that run the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fovea.contract.errors import ModelBroken


class SessionChoices(BaseModel):
    """The server's settings hold where it says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int | None = Field(default=None, gt=0, le=1024)
    """Threads one run may use."""
    arena: bool = True
    """Keep memory between runs. Without it every tensor is allocated anew: slower where there are many."""
    shrink_arena: bool = False
    """Give memory back after every run; else what the largest run took is kept. The answer's own memory, which is still
    in use then, goes back after the next one."""
    custom_op_libraries: tuple[str, ...] = ()
    """File names of libraries, out of those that the server's setting of this name lists."""

    @model_validator(mode="after")
    def _has_what_it_shrinks(self) -> SessionChoices:
        if self.shrink_arena and not self.arena:
            raise ValueError("shrink_arena = true needs an arena, and arena is false")
        return self

    def libraries(self, allowed: Sequence[Path]) -> tuple[Path, ...]:
        """The chosen libraries. ModelBroken where one is not among those that the server's operator allows."""
        return tuple(_library(name, allowed) for name in self.custom_op_libraries)


def _library(name: str, allowed: Sequence[Path]) -> Path:
    """Native code has all the server's rights: its operator names it, a model only chooses."""
    found = next((path for path in allowed if path.name == name), None)
    if found is None:
        listed = [path.name for path in allowed]
        raise ModelBroken(f"session: custom_op_libraries: '{name}' is not in the server's custom_op_libraries {listed}")
    return found
