"""WordNet 3.0 (Miller 1995, doi:10.1145/219717.219748; its own free licence), from Debian's package `wordnet-base`.

117,659 glosses, and which of 45 lexicographer's files each was written in: noun.animal, verb.motion, adj.all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fovea.contract.errors import Misconfigured
from fovea.recipes.language.labelled_texts import LabelledTexts
from fovea.recipes.packages import debian_files

NAME = "WordNet 3.0 glosses"
_NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
_VERBS = (
    "body change cognition communication competition consumption contact creation emotion motion perception possession "
    "social stative weather"
)
LABELS = (
    "adj.all",
    "adj.pert",
    "adv.all",
    *(f"noun.{name}" for name in _NOUNS.split()),
    *(f"verb.{name}" for name in _VERBS.split()),
    "adj.ppl",
)
"""By the numbers of the files."""
_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
_TEST_SHARE = 0.1


def load(folder: Path | None = None) -> LabelledTexts:
    """Every definition once, a tenth of them for testing, drawn by seed. Misconfigured where there is no data."""
    source = folder or debian_files("wordnet-base", "usr/share/wordnet")
    labels = dict(gloss for file in _FILES for gloss in _glosses(source / file))
    texts = sorted(labels)
    order = np.random.default_rng(0).permutation(len(texts))
    split = round(_TEST_SHARE * len(texts))
    shuffled = [(texts[place], labels[texts[place]]) for place in order]
    return LabelledTexts(NAME, LABELS, train=shuffled[split:], test=shuffled[:split])


def _glosses(path: Path) -> Iterator[tuple[str, int]]:
    """Definition -> file number, without the examples behind it; the licence at the top is set in by two blanks."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read; delete its folder to fetch it again: {error}") from error
    for line in lines:
        if not line.startswith("  "):
            facts, gloss = line.split(" | ", 1)
            yield gloss.split('; "')[0].strip(), int(facts.split(" ", 2)[1])
