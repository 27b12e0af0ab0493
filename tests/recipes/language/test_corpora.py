"""What is read of WordNet and of the World English Bible, from files that are written as theirs are."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.language import wordnet, world_english_bible

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by | Princeton\n"
LINES = {
    "data.noun": '00001740 03 n 01 entity 0 000 | that which is perceived; "it was full of rackets"  \n',
    "data.verb": "00001740 29 v 01 breathe 0 000 | draw air into, and expel out of, the lungs  \n",
    "data.adj": "00001740 00 a 01 able 0 000 | having the necessary means  \n",
    "data.adv": "00001740 02 r 01 a_cappella 0 000 | without musical accompaniment  \n",
}


def test_a_gloss_is_its_definition_with_the_name_of_its_file(tmp_path: Path) -> None:
    for name, line in LINES.items():
        (tmp_path / name).write_text(LICENCE + line)
    texts = wordnet.load(tmp_path)
    found = {text: texts.labels[label] for text, label in (*texts.train, *texts.test)}
    assert found == {
        "that which is perceived": "noun.Tops",
        "draw air into, and expel out of, the lungs": "verb.body",
        "having the necessary means": "adj.all",
        "without musical accompaniment": "adv.all",
    }
    assert len(texts.labels) == 45


def test_a_missing_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"data\.noun cannot be read; delete its folder to fetch it again"):
        wordnet.load(tmp_path)


def _module(folder: Path, **parts: str) -> None:
    for part, text in parts.items():
        packed = zlib.compress(text.encode())
        (folder / f"{part}.bzz").write_bytes(packed)
        (folder / f"{part}.bzs").write_bytes(struct.pack("<III", 0, len(packed), len(text.encode())))


NOTE = "<note>Hebrew: Elohim.</note>"
OLD = f'<title>Genesis</title><w lemma="x">In</w> the <w>beginning</w>, God{NOTE} made. &amp; “It was.” So'
NEW = '<chapter osisID="Matt.1"/><q marker="">The book</q> of Jesus.'


def test_sentences_have_no_notes_no_titles_and_no_tags(tmp_path: Path) -> None:
    _module(tmp_path, ot=OLD, nt=NEW)
    assert world_english_bible.sentences(tmp_path) == [
        "In the beginning, God made.",
        "& “It was.”",
        "So",
        "The book of Jesus.",
    ]


def test_a_damaged_module_is_named_with_a_remedy(tmp_path: Path) -> None:
    _module(tmp_path, ot=OLD, nt=NEW)
    (tmp_path / "nt.bzz").write_bytes(b"no zlib")
    with pytest.raises(Misconfigured, match="cannot be read; delete it to fetch it again"):
        world_english_bible.sentences(tmp_path)
