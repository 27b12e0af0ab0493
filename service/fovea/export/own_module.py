"""Anybody's own module: exported as the command line describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ExportFailed
from fovea.export.foreign import load_module
from fovea.export.input_specs import lengths_of, parse_inputs
from fovea.export.made_up_rows import fitted
from fovea.export.own_pictures import preprocessing_of
from fovea.export.publish import require_version_number
from fovea.export.reference import Answer, Reference
from fovea.export.spinner import export_subject
from fovea.export.step_files import NO_STEPS, read_steps
from fovea.inputs.labels import labels_in
from fovea.recipes.subject import Subject
from fovea.runtime.names import TEMPORARY_ENDINGS, is_model_name


@dataclass(frozen=True)
class OwnModule:
    """A module of the user's own, as the flags of `fovea export` describe it."""

    target: str
    """Who makes it: `package.module:factory`."""
    name: str
    """What the model is called when it is served."""
    inputs: Sequence[str]
    """`image=1x3x224x224` or `tokens=1xT:int64`, in the order of its arguments; T names a length."""
    weights: Path | None = None
    """Its state dict; without it, the weights that the factory makes."""
    labels: Path | None = None
    """A text file with a label a line, for the classes of the first output."""
    preprocessing: str | None = None
    """How a picture becomes its input: `RGB`, or with mean and std `RGB:0.5:0.25`."""
    steps: Path | None = None
    """A JSON file that says more: by input, the steps that make it of pictures or texts."""
    masks: Sequence[str] = ()
    """The inputs that tell how far each row goes in a length, one a length."""
    buckets: Sequence[str] = ()
    """Sizes to group requests by: `16,32`, or `T=16,32` where there are several lengths."""
    attention: AttentionType | None = None
    """The type by which the model is known; None: what is found in it."""


def export_module(own: OwnModule, repository: Path, version: int | None = None) -> Path:
    """The new version's folder. ExportFailed tells in a line what is wrong, as early as it can be seen."""
    _check_name(own.name)
    if version is not None:
        require_version_number(version)
    subject, reference = _subject(own)
    return export_subject(subject, repository, version, reference)


def _subject(own: OwnModule) -> tuple[Subject, Reference]:
    """And the module in float64, by whose answers its rows were fitted."""
    specs = parse_inputs(own.inputs)
    labels = _read_labels(own.labels) if own.labels is not None else ()
    preprocessing = preprocessing_of(own.preprocessing, specs) if own.preprocessing is not None else None
    steps = read_steps(own.steps, specs) if own.steps is not None else NO_STEPS
    lengths = steps.with_pad_tokens(lengths_of(specs, own.masks, own.buckets))
    module = load_module(own.target, own.weights)
    reference = Reference(module)
    rows = fitted(specs, lengths, lambda inputs: reference.answer(inputs).outputs)
    answer = reference.answer(rows(2))
    _check_labels(labels, answer)
    subject = Subject(
        name=own.name,
        module=module,
        rows=rows,
        output_names=_output_names(answer),
        attention=own.attention,
        labels=labels,
        preprocessing=preprocessing,
        input_steps=steps.by_input,
        files=steps.files,
        lengths=rows.lengths,
    )
    return subject, reference


def _output_names(answer: Answer) -> tuple[str, ...]:
    """`output` for one, `output_0`, `output_1` and so on for several."""
    count = len(answer.outputs)
    if count == 0:
        raise ExportFailed("the module gives no tensor")
    return ("output",) if count == 1 else tuple(f"output_{index}" for index in range(count))


def _check_labels(labels: Sequence[str], answer: Answer) -> None:
    """ExportFailed where the first output has not as many classes, which its last axis counts."""
    if labels and answer.outputs and answer.outputs[0].shape[1:][-1:] != (len(labels),):
        shape = list(answer.outputs[0].shape[1:])
        raise ExportFailed(f"{len(labels)} labels do not fit the first output, whose rows have shape {shape}")


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        return labels_in(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ExportFailed(f"{path} cannot be read as labels: {error}") from error


def _check_name(name: str) -> None:
    """The repository's rule, asked before any work is done: it keeps the folder inside, and where servers look."""
    if not is_model_name(name):
        raise ExportFailed(
            f"{name!r} cannot be a model's name: letters, digits, '.', '_' and '-' only, the first a letter or digit, "
            f"and no ending of temporary files ({', '.join(TEMPORARY_ENDINGS)})"
        )
