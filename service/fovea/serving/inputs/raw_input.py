"""Pictures and texts in place of a tensor: which inputs of a model take them, and what becomes of their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, OutOfMemory
from fovea.contract.input_steps import InputSteps
from fovea.contract.model_card import ModelCard
from fovea.contract.step_kinds import UseVocabulary
from fovea.contract.tensor_spec import TensorSpec
from fovea.inputs.makers import (
    PICTURE_FORMATS,
    Limits,
    Maker,
    ReadFile,
    data_mask,
    maker_of,
    require_same_filling,
)
from fovea.inputs.text_steps import MAX_TEXT_BYTES
from fovea.raw_tensors import NUMPY_DTYPE


@dataclass(frozen=True, slots=True)
class RawInput:
    """An input for which pictures or texts may be sent: as BYTES, one element a row."""

    name: str
    kind: str
    """What is sent: "picture" or "text"."""
    maker: Maker
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    """A row of the tensor that they become; -1 for a length that differs from text to text."""
    mask: TensorSpec | None = None
    """The input that tells how far each row goes."""
    padded: bool = False
    """Whether short rows may be filled up: only along a length of the card, where that was seen to change nothing."""

    def spec(self, axes: int) -> TensorSpec:
        """What a request's elements must look like, where it sends them with so many axes: [rows] or [rows, 1]."""
        return TensorSpec(name=self.name, datatype="BYTES", shape=(-1, 1) if axes == 2 else (-1,))

    def row(self, row: int, data: bytes, limits: Limits) -> NDArray[Any]:
        """A row of the tensor, as a client would have made it of the same bytes; InvalidRequest names the row."""
        try:
            return self.maker.row(data, limits)
        except InvalidRequest as error:
            raise InvalidRequest(f"input '{self.name}': row {row}: {error}") from error
        except MemoryError as error:
            raise OutOfMemory(f"input '{self.name}': row {row}: too little memory for this {self.kind}") from error

    def tensors(self, rows: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The input, and its mask; InvalidRequest for rows of different lengths where they cannot be filled up."""
        if not self.padded and len({row.shape for row in rows}) > 1:
            raise InvalidRequest(
                f"input '{self.name}': texts of different lengths in one request: the model may answer otherwise where "
                "short ones are filled up"
            )
        try:
            made = {self.name: self.maker.joined(rows).astype(self.dtype, copy=False)}
        except InvalidRequest as error:
            raise InvalidRequest(f"input '{self.name}': {error}") from error
        if self.mask is not None:
            made[self.mask.name] = data_mask(rows).astype(NUMPY_DTYPE[self.mask.datatype], copy=False)
        return made


def raw_inputs(card: ModelCard, read_file: ReadFile) -> dict[str, RawInput]:
    """The inputs that a card says how to make, by name. ModelBroken where the files that it needs do not do."""
    makers = {name: maker_of(steps, read_file) for name, steps in card.steps_by_input.items()}
    return {name: _raw_input(card, name, maker) for name, maker in makers.items()}


def raw_input_facts(name: str, steps: InputSteps) -> dict[str, Any]:
    """What clients are told of one. It is not listed among the inputs: load generators send all of those."""
    facts: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [-1]}
    if steps.kind == "picture":
        return {**facts, "formats": PICTURE_FORMATS}
    (vocabulary,) = steps.of(UseVocabulary)
    lines = {} if steps.most_lines is None else {"most_lines": steps.most_lines}
    return {**facts, "most_bytes": MAX_TEXT_BYTES, "most_tokens": vocabulary.most_tokens, **lines}


def only_picture(card: ModelCard) -> str | None:
    """The input that takes pictures; None where that is not exactly one."""
    found = [name for name, steps in card.steps_by_input.items() if steps.kind == "picture"]
    return found[0] if len(found) == 1 else None


def _raw_input(card: ModelCard, name: str, maker: Maker) -> RawInput:
    specs, steps = {spec.name: spec for spec in card.inputs}, card.steps_by_input[name]
    plain = RawInput(name, steps.kind, maker, NUMPY_DTYPE[specs[name].datatype], steps.row_shape)
    lengths = [one for one in card.lengths.values() if name in one.inputs]
    if not lengths or steps.kind == "picture":
        return plain
    for length in lengths:
        require_same_filling(name, length, maker)
    mask = next((one.mask for one in lengths if one.mask and one.inputs[name] == 1), None)
    return replace(plain, mask=specs[mask] if mask else None, padded=all(one.padded for one in lengths))
