"""A vocabulary: tokens and their ids, read from the file that a card names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.step_kinds import UseVocabulary

MOST_TOKENS = 1_000_000
"""The largest vocabularies have a quarter of them; a token takes 100 bytes of memory."""
_SHOWN = 40
"""Characters of a token that an error repeats."""


class Vocabulary:
    """Gives tokens their ids, as a card's step says. ModelBroken where the file does not have the tokens it names."""

    def __init__(self, step: UseVocabulary, content: str) -> None:
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

    def row(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """(T,), the start and end tokens with it; InvalidRequest for too many, and for one that is unknown."""
        ids = [*self._before, *self._known(tokens), *self._after]
        if self._most_tokens is not None and len(ids) > self._most_tokens:
            raise InvalidRequest(f"a text of {len(ids)} tokens is above the limit of {self._most_tokens}")
        return np.array(ids, np.int64)

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
