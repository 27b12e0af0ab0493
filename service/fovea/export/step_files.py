"""The steps that make inputs of pictures and texts, and the files that they name: read, and looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fovea.contract.errors import ExportFailed, ModelBroken
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec, NamedLengths
from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, GOLDEN_TEXTS_FILE, MAPS_FILE, MODEL_FILE
from fovea.contract.validation import first_problem
from fovea.export.input_specs import InputSpec
from fovea.export.weights import WEIGHTS_FILE
from fovea.inputs.golden_texts import golden_texts
from fovea.inputs.lines_maker import LinesMaker
from fovea.inputs.makers import maker_of, require_same_filling
from fovea.inputs.text_maker import TextMaker

_STEPS = TypeAdapter(dict[str, InputSteps])
_WRITTEN = (MODEL_FILE, MAPS_FILE, WEIGHTS_FILE, GOLDEN_FILE, GOLDEN_TEXTS_FILE, CARD_FILE)
"""What an export writes: a file of the steps that had such a name would be overwritten, or overwrite it."""


@dataclass(frozen=True)
class OwnSteps:
    """The steps by input, and the text files that they name."""

    by_input: Mapping[str, InputSteps]
    files: Mapping[str, str]

    def with_pad_tokens(self, lengths: NamedLengths) -> dict[str, LengthSpec]:
        """The lengths, their texts filled up with the pad tokens: those of one request and those of a batch alike."""
        makers = {name: maker_of(one, self.files.__getitem__) for name, one in self.by_input.items()}
        pads = {
            name: maker.vocabulary.pad for name, maker in makers.items() if isinstance(maker, TextMaker | LinesMaker)
        }
        padding = {name: pad for name, pad in pads.items() if pad is not None}
        return {
            name: one.model_copy(
                update={"padding": {tensor: padding[tensor] for tensor in one.inputs if tensor in padding}}
            )
            for name, one in lengths.items()
        }


NO_STEPS = OwnSteps({}, {})


def read_steps(path: Path, specs: Sequence[InputSpec]) -> OwnSteps:
    """A JSON object, input -> list of steps; what they name lies beside it. ExportFailed tells what is wrong."""
    try:
        steps = _STEPS.validate_json(_text(path))
    except ValidationError as error:
        problem = first_problem(error)
        raise ExportFailed(f"{path}: {problem.where or 'file'}: {problem.told}") from error
    names = [spec.name for spec in specs]
    if strange := sorted(set(steps) - set(names)):
        raise ExportFailed(f"{path}: {strange[0]} is none of the inputs {', '.join(names)}")
    files = {file: _text(path.parent / file) for one in steps.values() for file in one.files}
    require_files(steps, files)
    return OwnSteps(steps, files)


def require_files(
    steps: Mapping[str, InputSteps], files: Mapping[str, str], lengths: Iterable[LengthSpec] = ()
) -> None:
    """ExportFailed where a file that the steps name is not there, or is not what its step and the lengths need."""
    if clash := sorted({*files} & {*_WRITTEN}):
        raise ExportFailed(f"the steps of an input name {clash[0]}, which is another file of a version: rename it")
    try:
        for name, one in steps.items():
            maker = maker_of(one, files.__getitem__)
            for length in lengths:
                if name in length.inputs:
                    require_same_filling(name, length, maker)
    except KeyError as error:
        raise ExportFailed(f"the steps of an input name {error}, which is none of its files") from error
    except ModelBroken as error:
        raise ExportFailed(str(error)) from error


def files_of(steps: Mapping[str, InputSteps], files: Mapping[str, str]) -> dict[str, str]:
    """The text files of a version: those that the steps name, and texts with the ids that they must become."""
    makers = {name: maker_of(one, files.__getitem__) for name, one in steps.items() if one.kind == "text"}
    return {**files, GOLDEN_TEXTS_FILE: golden_texts(makers)} if makers else dict(files)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportFailed(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
