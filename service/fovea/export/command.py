"""What `fovea export` does: recipes of this project, and anybody's own module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from torch import Tensor, nn

from fovea.contract.errors import ExportFailed
from fovea.export.foreign import load_module, parse_inputs, random_rows, sequence_of
from fovea.export.publish import require_version_number
from fovea.export.reference import Reference
from fovea.export.version import Subject, export_version
from fovea.recipes import fashion_mnist
from fovea.recipes.augmentation import normalise
from fovea.recipes.catalogue import RECIPES
from fovea.recipes.checkpoint import load_trained, save_trained
from fovea.recipes.dataset import ImageDataset
from fovea.recipes.progress import progress_bar
from fovea.recipes.recipe import Recipe
from fovea.recipes.training import Trained, train
from fovea.runtime.datatypes import Arrays
from fovea.runtime.kernel_library import find_kernel_library
from fovea.runtime.repository import TEMPORARY_ENDINGS, is_model_name

INPUT, LOGITS = "input", "logits"


def export_recipes(names: Sequence[str], repository: Path) -> list[Path]:
    """Train what is not in the cache yet, export, publish; the new versions' folders in the order of `names`.

    Raises ExportFailed for an unknown name before anything is trained.
    """
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ExportFailed(f"no recipe {', '.join(unknown)}; there are: {', '.join(RECIPES)}")
    data = fashion_mnist.load()
    return [export_trained(RECIPES[name], _trained(RECIPES[name], data), data, repository) for name in names]


def export_trained(recipe: Recipe, trained: Trained, data: ImageDataset, repository: Path) -> Path:
    """Export one trained recipe; parity and golden batch are made from real test images."""
    subject = Subject(
        name=recipe.name,
        module=trained.module,
        rows=partial(_test_rows, recipe, data),
        output_names=(LOGITS,),
        attention=recipe.attention,
        labels=recipe.labels,
        preprocessing=recipe.preprocessing,
        metrics={"accuracy": trained.accuracy},
        training=trained.training,
    )
    return _export(subject, repository)


def export_module(
    target: str,
    weights: Path | None,
    inputs: Sequence[str],
    name: str,
    repository: Path,
    *,
    version: int | None = None,
    labels: Path | None = None,
    mask: str | None = None,
    buckets: Sequence[int] = (),
) -> Path:
    """Export the module that `package.module:factory` makes; the new version's folder.

    `inputs`: `image=1x3x224x224` or `tokens=1xT:int64`, in the order of the module's arguments; T is the length of a
    sequence, and `mask` the input that tells how far each goes. `labels`: a text file, one label a line. Raises
    ExportFailed with one line that tells what is wrong.
    """
    _check_name(name)
    if version is not None:
        require_version_number(version)
    specs = parse_inputs(inputs)
    known = _read_labels(labels) if labels is not None else ()
    module = load_module(target, weights)
    sequence = sequence_of(specs, mask, buckets)
    rows = partial(random_rows, specs, sequence)
    names = _output_names(module, rows(2))
    subject = Subject(name, module, rows, names, labels=known, sequence=sequence)
    return _export(subject, repository, version)


def _export(subject: Subject, repository: Path, version: int | None = None) -> Path:
    with _working(f"exporting {subject.name}"):
        return export_version(subject, repository, version, find_kernel_library())


def _trained(recipe: Recipe, data: ImageDataset) -> Trained:
    """From the cache, or trained now and then kept."""
    cached = load_trained(recipe)
    if cached is not None:
        return cached
    with progress_bar(f"training {recipe.name}") as progress:
        trained = train(recipe, data, progress)
    save_trained(recipe, trained)
    return trained


def _test_rows(recipe: Recipe, data: ImageDataset, rows: int) -> Arrays:
    """The first test images, as the module takes them."""
    images: Tensor = normalise(torch.tensor(data.test_images[:rows]), recipe.preprocessing)
    return {INPUT: images.numpy()}


def _output_names(module: nn.Module, inputs: Arrays) -> tuple[str, ...]:
    """`output` for one, `output_0`, `output_1` and so on for several."""
    count = len(Reference(module).answer(inputs).outputs)
    if count == 0:
        raise ExportFailed("the module gives no tensor")
    return ("output",) if count == 1 else tuple(f"output_{index}" for index in range(count))


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ExportFailed(f"{path} cannot be read as labels: {error}") from error


def _check_name(name: str) -> None:
    """The repository's rule, asked before any work is done: it keeps the folder inside, and where servers look."""
    if not is_model_name(name):
        raise ExportFailed(
            f"{name!r} cannot be a model's name: letters, digits, '.', '_' and '-' only, the first a letter or digit, "
            f"and no ending of temporary files ({', '.join(TEMPORARY_ENDINGS)})"
        )


@contextmanager
def _working(title: str) -> Iterator[None]:
    """A spinner with the time gone, on standard error."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bars.add_task(title, total=None)
        yield
