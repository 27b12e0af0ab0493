"""A report says what was kept, and is written, whatever kind of numbers it was made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.torture.report import Promise, Report, at_least, at_most, write

NUMBER = np.float64(2.0)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kind", [bool, np.bool_])
def test_one_promise_that_is_broken_breaks_the_report(kind: type, kept: bool) -> None:
    promises = (Promise("one", "", True), Promise("other", "", kind(kept)), Promise("third", "", None))
    assert Report("any", {}, promises).kept is kept


@pytest.mark.parametrize(
    ("promise", "kept"),
    [
        (at_most("grows", NUMBER, 2.0), True),
        (at_most("grows", NUMBER, 1.9), False),
        (at_least("does", NUMBER, 2.0), True),
        (at_least("does", NUMBER, 2.1), False),
        (at_most("grows", np.float64("nan"), 1.0), False),
        (at_most("grows", NUMBER, 1.9, judged=False), None),
    ],
)
def test_a_figure_of_numpys_is_judged_like_any_other(promise: Promise, kept: bool | None) -> None:
    assert promise.kept is kept


def test_figures_and_verdicts_of_numpys_are_written_as_json(tmp_path: Path) -> None:
    figures = {"mean": NUMBER, "count": np.int64(3), "words": "some"}
    promises = (Promise("one", "found", np.bool_(True)), at_most("two", np.float32(1), 2.0))
    write(tmp_path / "made" / "report.json", [Report("any", figures, promises)], {"cpu": "x"})
    (written,) = json.loads((tmp_path / "made" / "report.json").read_text())["reports"]
    assert written["figures"] == {"mean": 2.0, "count": 3, "words": "some"}
    assert [promise["kept"] for promise in written["promises"]] == [True, True]
    assert written["kept"] is True
