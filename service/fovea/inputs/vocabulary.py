"""A vocabulary: texts are split into tokens, whose ids are their places in the file that a card names."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.step_kinds import Split, UseVocabulary
from fovea.inputs.spans import Piece
from fovea.inputs.text_steps import split, split_pieces

MOST_TOKENS = 1_000_000
"""The largest vocabularies have a quarter of them; a token takes 100 bytes of memory."""
_SHOWN = 40
"""Characters of a token that an error repeats."""


class Vocabulary:
    """Splits texts and gives tokens their ids, as two steps of a card say.

    ModelBroken where the file does not have the tokens that its step names.
    """

    def __init__(self, step: UseVocabulary, content: str, splitting: Split) -> None:
        self._step, self._splitting = step, splitting
        self._file, self._most_tokens = step.file, step.most_tokens
        tokens = read_tokens(step.file, content)
        if len(tokens) > MOST_TOKENS:
            raise ModelBroken(f"{step.file}: {len(tokens)} tokens, expected at most {MOST_TOKENS}")
        self._ids = {token: number for number, token in enumerate(tokens)}
        if len(self._ids) < len(tokens):
            raise ModelBroken(f"{step.file}: a token is in it twice")
        self._unknown = self._id(step.unknown)
        self.pad = self._id(step.pad)
        """The id that fills up short rows; None where nothing may."""
        self._before, self._after = self._ids_of(step.start), self._ids_of(step.end)

    def __len__(self) -> int:
        return len(self._ids)

    def row(self, text: str, second: str | None = None) -> NDArray[np.int64]:  # noqa: ARG002 (it has no pairs)
        """(T,), the start and end tokens with it; InvalidRequest for too many, and for one that is unknown."""
        ids = [*self._before, *self._known(split(text, self._splitting)), *self._after]
        if self._most_tokens is not None and len(ids) > self._most_tokens:
            raise InvalidRequest(f"a text of {len(ids)} tokens is above the limit of {self._most_tokens}")
        return np.array(ids, np.int64)

    def pieces(self, text: str, second: str | None = None) -> list[Piece]:  # noqa: ARG002
        """The same tokens as they were found, each with where it is; start and end are nowhere."""
        before, after = ([] if token is None else [Piece(token)] for token in (self._step.start, self._step.end))
        return [*before, *split_pieces(text, self._splitting), *after]

    def _known(self, tokens: Iterable[str]) -> list[int]:
        unknown = self._unknown
        if unknown is not None:
            return [self._ids.get(token, unknown) for token in tokens]
        try:
            return [self._ids[token] for token in tokens]
        except KeyError as error:
            raise InvalidRequest(f"the model does not know the token {error.args[0][:_SHOWN]!r}") from error

    def _id(self, token: str | None) -> int | None:
        if token is not None and token not in self._ids:
            raise ModelBroken(f"{self._file} lacks the token {token!r}, which the card names")
        return None if token is None else self._ids[token]

    def _ids_of(self, token: str | None) -> list[int]:
        number = self._id(token)
        return [] if number is None else [number]


def read_tokens(file: str, content: str) -> list[str]:
    """The tokens in the order of their ids: one a line, or, in a file that ends in .json, a list of texts."""
    if not file.endswith(".json"):
        return content.removesuffix("\n").split("\n")
    try:
        tokens = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelBroken(f"{file}: no JSON") from error
    if not (isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)):
        raise ModelBroken(f"{file}: expected a list of texts")
    return tokens
