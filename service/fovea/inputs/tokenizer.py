"""A tokenizer of Hugging Face's `tokenizers` library, as its own file says.

The library is imported where the first such file is read: models without one do without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, FoveaError, InvalidRequest, ModelBroken
from fovea.contract.step_kinds import UseTokenizer
from fovea.inputs.spans import Piece

LIBRARY = "tokenizers"
_SHORT = 2048
"""Characters. Of longer texts the library is given a list, since it lets other threads run meanwhile, 30 ms for 64 KB;
of short ones it is given one, which takes half the time."""
T = TypeVar("T")


class Tokenizer:
    """Gives texts their ids. ModelBroken where the library is not there, or the file is none of its files."""

    def __init__(self, step: UseTokenizer, content: str) -> None:
        self._step = step
        self._tokenizer = _read(step.file, content)
        self.pad = self._id(step.pad)
        """The id that fills up short rows; None where nothing may."""

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def row(self, text: str, second: str | None = None) -> NDArray[np.int64]:
        """(T,) ids; (T, 2) with the types of the tokens, where the step names an input for them.

        InvalidRequest for too many tokens, and where there is none.
        """
        encoded = self._encoded(text, second)
        if self._step.types is None:
            return np.array(encoded.ids, np.int64)
        return np.array([encoded.ids, encoded.type_ids], np.int64).T

    def pieces(self, text: str, second: str | None = None) -> list[Piece]:
        """The same tokens as texts, each with where it is in its own text; those that were added are nowhere."""
        encoded = self._encoded(text, second)
        places = zip(encoded.tokens, encoded.offsets, encoded.sequence_ids, strict=True)
        return [Piece(token, span, text or 0) for token, span, text in places]

    def _encoded(self, text: str, second: str | None) -> Any:
        """InvalidRequest where the library refuses the text: one without an unknown token takes no other word."""
        one = text if second is None else (text, second)
        if sum(map(len, (text, second or ""))) <= _SHORT:
            found = _called(lambda: self._tokenizer.encode(*((one,) if second is None else one)), InvalidRequest)
        else:
            found = _called(lambda: self._tokenizer.encode_batch([one])[0], InvalidRequest)
        count, most = len(found.ids), self._step.most_tokens
        if not count:
            raise InvalidRequest("an empty text" if not text else "a text without any token")
        if most is not None and count > most:
            raise InvalidRequest(f"a text of {count} tokens is above the limit of {most}")
        return found

    def _id(self, token: str | None) -> int | None:
        number = None if token is None else self._tokenizer.token_to_id(token)
        if token is not None and number is None:
            raise ModelBroken(f"{self._step.file} lacks the token {token!r}, which the card names")
        return number


def _read(file: str, content: str) -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ModelBroken(f"{file} needs the package {LIBRARY}, which is not installed here") from error
    tokenizer = _called(lambda: tokenizers.Tokenizer.from_str(content), lambda why: ModelBroken(f"{file}: {why}"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _called(call: Callable[[], T], failed: Callable[[str], FoveaError]) -> T:
    """The library's errors are bare Exceptions, and where it panics, it raises what is none."""
    try:
        return call()
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        why = f"{LIBRARY}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        panicked = ExecutionFailed if failed is InvalidRequest and not isinstance(error, Exception) else failed
        raise panicked(why) from error
