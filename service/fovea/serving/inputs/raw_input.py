"""Pictures and texts in place of a tensor: which inputs of a model take them, and what becomes of their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, OutOfMemory
from fovea.contract.input_steps import InputSteps
from fovea.contract.model_card import GOLDEN_TEXTS_FILE, ModelCard
from fovea.contract.step_kinds import UseTokenizer, UseVocabulary
from fovea.contract.tensor_spec import TensorSpec
from fovea.inputs.golden_texts import check_golden_texts
from fovea.inputs.makers import (
    PICTURE_FORMATS,
    Maker,
    maker_of,
    require_same_filling,
)
from fovea.inputs.pictures import Limits
from fovea.inputs.spans import Piece
from fovea.inputs.text_maker import ReadFile, TextMaker, data_mask
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
    types: TensorSpec | None = None
    """The input that tells of which of two texts each token is."""
    pairs: bool = False
    """Whether a row may be two texts."""
    padded: bool = False
    """Whether short rows may be filled up: only along a length of the card, where that was seen to change nothing."""

    @property
    def made(self) -> list[str]:
        """The inputs that are made besides it, which a request that sends texts leaves out."""
        return [spec.name for spec in (self.mask, self.types) if spec is not None]

    def spec(self, shape: tuple[int, ...]) -> TensorSpec:
        """What a request's elements must look like, where it sends them in this shape: [rows], [rows, 1], or pairs."""
        expected = (-1,) if len(shape) != 2 else (-1, 2) if self.pairs and shape[1] != 1 else (-1, 1)
        return TensorSpec(name=self.name, datatype="BYTES", shape=expected)

    def row(self, row: int, elements: Sequence[bytes], limits: Limits) -> NDArray[Any]:
        """A row of the tensor, as a client would have made it of the same bytes; InvalidRequest names the row."""
        first, *second = elements
        try:
            return self.maker.row(first, limits, *second)
        except InvalidRequest as error:
            raise InvalidRequest(f"input '{self.name}': row {row}: {error}") from error
        except MemoryError as error:
            raise OutOfMemory(f"input '{self.name}': row {row}: too little memory for this {self.kind}") from error

    def pieces(self, elements: Sequence[bytes]) -> list[Piece]:
        """The tokens of a row that `row` has made of texts, each with its place in the caller's own."""
        assert isinstance(self.maker, TextMaker)
        return self.maker.pieces(*elements)

    def tensors(self, rows: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The input, its mask and types; InvalidRequest for rows of different lengths where none may be filled up."""
        if not self.padded and len({row.shape for row in rows}) > 1:
            raise InvalidRequest(
                f"input '{self.name}': texts of different lengths in one request: the model may answer otherwise where "
                "short ones are filled up"
            )
        try:
            joined = self.maker.joined(rows)
        except InvalidRequest as error:
            raise InvalidRequest(f"input '{self.name}': {error}") from error
        made = {}
        if self.types is not None:
            made[self.types.name] = joined[..., 1].astype(NUMPY_DTYPE[self.types.datatype])
            joined = joined[..., 0]
        if self.mask is not None:
            made[self.mask.name] = data_mask(rows).astype(NUMPY_DTYPE[self.mask.datatype], copy=False)
        return {self.name: joined.astype(self.dtype, copy=False), **made}


def raw_inputs(card: ModelCard, read_file: ReadFile) -> dict[str, RawInput]:
    """The inputs that a card says how to make, by name.

    ModelBroken where the files that it needs do not do, or texts become other numbers here than where it was exported.
    """
    makers = {name: maker_of(steps, read_file) for name, steps in card.steps_by_input.items()}
    found = {name: _raw_input(card, name, maker) for name, maker in makers.items()}
    if GOLDEN_TEXTS_FILE in card.sha256:
        check_golden_texts(read_file(GOLDEN_TEXTS_FILE), makers)
    return found


def raw_input_facts(name: str, steps: InputSteps) -> dict[str, Any]:
    """What clients are told of one. It is not listed among the inputs: load generators send all of those."""
    facts: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [-1]}
    if steps.kind == "picture":
        return {**facts, "formats": PICTURE_FORMATS}
    (last,) = steps.of(UseVocabulary, UseTokenizer)
    pairs = {"pairs": True} if isinstance(last, UseTokenizer) and last.pairs else {}
    lines = {} if steps.most_lines is None else {"most_lines": steps.most_lines}
    return {**facts, "most_bytes": MAX_TEXT_BYTES, "most_tokens": last.most_tokens, **pairs, **lines}


def only_picture(card: ModelCard) -> str | None:
    """The input that takes pictures; None where that is not exactly one."""
    found = [name for name, steps in card.steps_by_input.items() if steps.kind == "picture"]
    return found[0] if len(found) == 1 else None


def _raw_input(card: ModelCard, name: str, maker: Maker) -> RawInput:
    specs, steps = {spec.name: spec for spec in card.inputs}, card.steps_by_input[name]
    plain = RawInput(name, steps.kind, maker, NUMPY_DTYPE[specs[name].datatype], steps.row_shape)
    if isinstance(last := steps.root[-1], UseTokenizer):
        plain = replace(plain, types=specs[last.types] if last.types else None, pairs=last.pairs)
    lengths = [one for one in card.lengths.values() if name in one.inputs]
    if not lengths or steps.kind == "picture":
        return plain
    for length in lengths:
        require_same_filling(name, length, maker)
    mask = next((one.mask for one in lengths if one.mask and one.inputs[name] == 1), None)
    return replace(plain, mask=specs[mask] if mask else None, padded=all(one.padded for one in lengths))
