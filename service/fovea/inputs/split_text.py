"""Texts that are split into words or characters, whose ids are in a vocabulary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fovea.contract.step_kinds import Split, UseVocabulary
from fovea.inputs.spans import Piece
from fovea.inputs.text_steps import split, split_pieces
from fovea.inputs.vocabulary import Vocabulary


class SplitText:
    """What two steps of a card say. ModelBroken where the file does not have the tokens that its step names."""

    def __init__(self, splitting: Split, step: UseVocabulary, content: str) -> None:
        self._splitting, self._step = splitting, step
        self._vocabulary = Vocabulary(step, content)
        self.pad = self._vocabulary.pad
        """The id that fills up short rows; None where nothing may."""

    def __len__(self) -> int:
        return len(self._vocabulary)

    def row(self, text: str, second: str | None = None) -> NDArray[np.int64]:  # noqa: ARG002 (it has no pairs)
        """(T,) ids; InvalidRequest for too many, for one that is unknown, and where there is none."""
        return self._vocabulary.row(split(text, self._splitting))

    def pieces(self, text: str, second: str | None = None) -> list[Piece]:  # noqa: ARG002
        """The same tokens as they were found, each with where it is; start and end are nowhere."""
        before, after = ([] if token is None else [Piece(token)] for token in (self._step.start, self._step.end))
        return [*before, *split_pieces(text, self._splitting), *after]
