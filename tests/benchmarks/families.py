"""`make catalogue`, second half: what a row costs each model that comes with Fovea, beside the others of its family.

Batches of one core, all models of a family in turn in one run, each by its kernels and by its bodies, of which a server
takes the quicker; processor time. A model that is not in `exported_models/` is exported for it (and trained, where that
has not been done).
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from tests.benchmarks.families_page import FAMILIES, FIGURES, Family, Figures, write_tables
from tests.benchmarks.kernels_timing import Effort, interleaved, on_core
from tests.benchmarks.machine import describe, in_one_line
from tests.committed_models import EXPORTED

from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, MODEL_FILE, ModelCard
from fovea.export.recipes import export_recipe
from fovea.recipes.catalogue import RECIPES
from fovea.runtime.golden import read_golden
from fovea.runtime.kernel_library import find_kernel_library
from fovea.runtime.ort_session import SessionSettings, open_session

EFFORT = Effort(rounds=15, slice_s=0.02, least_runs=5)


def main() -> int:
    """Measure every family, write the figures and README's tables."""
    progress = Console(stderr=True, highlight=False)
    families: dict[str, dict[str, dict[str, object]]] = {}
    with tempfile.TemporaryDirectory(prefix="fovea-families-") as scratch:
        for family in FAMILIES:
            progress.print(family.mark)
            folders = {name: _version(name, Path(scratch)) for name in family.models}
            with on_core(0):
                families[family.mark] = _measured(family, folders)
    figures: Figures = {"machine": in_one_line(describe()), "families": families}
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    write_tables(figures)
    return 0


def _version(name: str, scratch: Path) -> Path:
    """The folder of an exported version of it."""
    if (EXPORTED / name / "1" / CARD_FILE).exists():
        return EXPORTED / name / "1"
    made = scratch / name / "1"
    return made if made.exists() else export_recipe(RECIPES[name], scratch)


def _measured(family: Family, folders: Mapping[str, Path]) -> dict[str, dict[str, object]]:
    """By model: microseconds a row, and what its card says."""
    runs = {(name, form): run for name, folder in folders.items() for form, run in _runs(folder, family.rows).items()}
    keys = {"/".join(key): key for key in runs}
    times = interleaved({text: runs[key] for text, key in keys.items()}, EFFORT)
    medians = {keys[text]: statistics.median(seconds) * 1e6 / family.rows for text, seconds in times.items()}
    return {
        name: _facts(ModelCard.read(folder / CARD_FILE))
        | {"row_us": min(time for (model, _), time in medians.items() if model == name)}
        for name, folder in folders.items()
    }


def _facts(card: ModelCard) -> dict[str, object]:
    return {
        "attention": str(card.attention),
        "parameters": card.parameters,
        "accuracy": card.metrics["accuracy"],
    }


def _runs(folder: Path, rows: int) -> dict[str, Callable[[], object]]:
    """What runs a batch of it, made of its golden rows, by kernels and by bodies."""
    golden = read_golden(folder / GOLDEN_FILE)
    fed = {name: np.take(array, range(rows), axis=0, mode="wrap") for name, array in golden.inputs.items()}
    libraries = {"kernels": find_kernel_library(), "bodies": None}
    sessions = {
        form: open_session(folder / MODEL_FILE, SessionSettings(kernel_library=library))
        for form, library in libraries.items()
    }
    return {form: partial(session.run, None, fed) for form, session in sessions.items()}


if __name__ == "__main__":
    sys.exit(main())
