"""The golden batch: inputs and PyTorch's float64 answers. A version that disagrees with them is not served.

File form: an .npz without pickles, entries `inputs/<name>`, `outputs/<name>` and `maps/<name>`. All answers together
take at most 8 MiB: of a large one there are the values at some places of each row (rows, places). Then `places/<name>`
has the places, counted along all axes of a row, and `shapes/<name>` the row's shape.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.model_card import GOLDEN_FILE, ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.arrays import Arrays
from fovea.runtime.golden_places import Places, places_to_keep
from fovea.runtime.session import ModelSession


@dataclass(frozen=True)
class Golden:
    """Inputs of the model's dtypes; outputs and maps in float64 (integers where the output is one)."""

    inputs: Arrays
    outputs: Arrays
    maps: Arrays
    places: Mapping[str, Places] = field(default_factory=dict)
    """Where the values of those outputs and maps stand that are not kept whole."""

    @property
    def rows(self) -> int:
        """Rows of the batch, for a model that batches."""
        return len(next(iter(self.inputs.values())))

    def first_rows(self, count: int) -> Golden:
        """The first rows of it, for a model that batches."""
        inputs, outputs, maps = (
            {name: array[:count] for name, array in part.items()} for part in (self.inputs, self.outputs, self.maps)
        )
        return Golden(inputs, outputs, maps, self.places)


def write_golden(path: Path, inputs: Arrays, outputs: Arrays, maps: Arrays) -> None:
    """Write a golden batch; floating-point outputs and maps are kept in float64, large ones at some places only."""
    answers = {f"outputs/{name}": array for name, array in outputs.items()}
    answers |= {f"maps/{name}": array for name, array in maps.items()}
    entries = {f"inputs/{name}": array for name, array in inputs.items()}
    places = places_to_keep(answers)
    for entry, array in answers.items():
        entries[entry] = _widened(places[entry].values(array) if entry in places else array)
    for entry, kept in places.items():
        name = entry.partition("/")[2]
        entries |= {f"places/{name}": kept.flat, f"shapes/{name}": np.array(kept.shape, np.int64)}
    if any(array.dtype.hasobject for array in entries.values()):
        raise ValueError("a golden batch holds numbers only: objects would have to be pickled")
    with path.open("wb") as file:
        np.savez_compressed(file, **entries)  # type: ignore[arg-type]


def _widened(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def read_golden(path: Path) -> Golden:
    """Read a golden batch; ModelBroken where the file is damaged or holds no inputs."""
    try:
        # Opened here: numpy leaves the file open where the archive is damaged.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            entries = {name: file[name] for name in file.files}
        golden = _golden(entries)
    except MemoryError as error:
        raise ModelBroken(f"{path.name}: it needs more memory than there is") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ModelBroken(f"{path.name} cannot be read: {error}") from error
    if not golden.inputs or not golden.outputs:
        raise ModelBroken(f"{path.name} holds no inputs or no outputs")
    return golden


def golden_of(folder: Path, card: ModelCard) -> Golden | None:
    """The golden batch that a version's card names; None where it names none. ModelBroken as `read_golden`."""
    return read_golden(folder / GOLDEN_FILE) if GOLDEN_FILE in card.sha256 else None


def _golden(entries: Arrays) -> Golden:
    """KeyError or ValueError where places do not fit."""
    inputs, outputs, maps, flat, shapes = (
        _part(entries, prefix) for prefix in ("inputs/", "outputs/", "maps/", "places/", "shapes/")
    )
    places = {name: Places(tuple(map(int, shapes[name].reshape(-1))), array) for name, array in flat.items()}
    for name, array in (maps | outputs).items():
        if name in places and array.shape[1:] != flat[name].shape:
            raise ValueError(f"{name} has values of shape {list(array.shape)} at {len(flat[name])} places")
    return Golden(inputs, outputs, maps, places)


def _part(entries: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in entries.items() if name.startswith(prefix)}


def check_golden(session: ModelSession, golden: Golden, tolerances: Mapping[str, float]) -> list[str]:
    """What the session answers differently from the golden batch, one line per output; empty where it is right.

    Every output of the session is compared. A NaN, another shape, a missing answer or tolerance is a disagreement too.
    """
    try:
        actual = run_golden(session, golden)
    except ExecutionFailed as error:
        return [f"the golden batch failed: {error}"]
    return disagreements(actual, golden, tolerances)


def disagreements(actual: Arrays, golden: Golden, tolerances: Mapping[str, float]) -> list[str]:
    """The same of answers that are there."""
    expected = {**golden.maps, **golden.outputs}
    found = (
        _disagreement(array, expected.get(name), golden.places.get(name), tolerances.get(name))
        for name, array in actual.items()
    )
    return [f"{name}: {text}" for name, text in zip(actual, found, strict=True) if text is not None]


def run_golden(session: ModelSession, golden: Golden) -> dict[str, NDArray[Any]]:
    """The session's answers to the whole golden batch, which may be larger than one batch of the session."""
    if problem := unfit_input(session, golden):
        raise ExecutionFailed(problem)
    if not session.batched:
        return dict(session.infer(golden.inputs))
    step = session.max_batch_rows
    parts = []
    for start in range(0, golden.rows, step):
        part = session.infer({name: array[start : start + step] for name, array in golden.inputs.items()})
        parts.append({name: array.copy() for name, array in part.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def unfit_input(session: ModelSession, golden: Golden) -> str:
    """Why a golden batch cannot go into the model; nothing where it can."""
    for spec in session.inputs:
        if spec.name in session.made_inputs and spec.name not in golden.inputs:
            continue
        if (problem := _unfit(golden.inputs.get(spec.name), spec)) is not None:
            return f"its input {spec.name} {problem}"
    return ""


def _unfit(array: NDArray[Any] | None, spec: TensorSpec) -> str | None:
    """Why a golden input cannot go into the model."""
    if array is None:
        return "is missing"
    if 0 in array.shape or not spec.admits(array.shape):
        return f"has shape {list(array.shape)}, not {list(spec.shape)}"
    return None if array.dtype == NUMPY_DTYPE[spec.datatype] else f"is {array.dtype}, not {spec.datatype}"


def _disagreement(
    actual: NDArray[Any], expected: NDArray[Any] | None, places: Places | None, tolerance: float | None
) -> str | None:
    """How an output differs from the expected one by more than its tolerance; None where it does not."""
    if expected is None:
        return "no golden answer"
    if tolerance is None:
        return "no tolerance in the card"
    shape = expected.shape if places is None else (len(expected), *places.shape)
    if actual.shape != shape:
        return f"shape {list(actual.shape)} instead of {list(shape)}"
    error = _largest_error(actual if places is None else places.values(actual), expected)
    return None if error <= tolerance else f"off by {error:.3g}, allowed {tolerance:.3g}"


def _largest_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference; NaN where either side has one."""
    if actual.size == 0:
        return 0.0
    with np.errstate(invalid="ignore"):  # two infinities differ by NaN, which is a disagreement
        return float(np.max(np.abs(actual.astype(np.float64) - expected.astype(np.float64))))
