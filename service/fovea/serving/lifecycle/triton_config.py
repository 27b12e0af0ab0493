"""Triton's config.pbtxt: how a model folder that has one, and no model.toml, is served.

What this server does not do is named, never passed over: where leaving it out would change an answer or break a
promise, the model is not served and the reason tells which fields; where it would not, the log and the index do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import ModelBroken, Unsupported
from fovea.contract.model_card import MODEL_FILE, MOST_TEXT_BYTES
from fovea.contract.reshape import reshape_problem
from fovea.contract.tensor_spec import TensorSpec
from fovea.contract.validation import first_problem
from fovea.runtime.declared import Declared, Labels
from fovea.runtime.files import require_small
from fovea.runtime.model_toml import Latest, ServingChoices
from fovea.runtime.printable import printable
from fovea.runtime.repository import Configured
from fovea.serving.lifecycle.model_config_text import data_type_of, format_of, from_pbtxt
from fovea.serving.lifecycle.triton_choices import CHOICES
from fovea.serving.lifecycle.triton_fields import problems, remark

CONFIG_FILE = "config.pbtxt"
_LONGEST_REMARK = 2000
_MOST_CONFIG_BYTES = 256 << 10
"""Half a second's reading at most."""
_DATATYPE_OF_TRITON = {facts.triton: name for name, facts in DATATYPES.items()}


def read_config(folder: Path) -> Configured | None:
    """What a folder's config.pbtxt says; None where it has none. ModelBroken or Unsupported tell what is amiss."""
    path = folder / CONFIG_FILE
    if not (path.exists() or path.is_symlink()):
        return None
    return configured_of(parse(_text(folder, CONFIG_FILE, _MOST_CONFIG_BYTES)), folder)


def configured_of(config: Any, folder: Path) -> Configured:
    """What a ModelConfig says of the model in a folder; ModelBroken or Unsupported tell what is amiss."""
    if config.name not in ("", folder.name):
        raise ModelBroken(f"{CONFIG_FILE}: name: expected {folder.name}, found {config.name}")
    return Configured(choices_of(config), _declared(config, folder))


def parse(text: str) -> Any:
    """A ModelConfig; ModelBroken tells line and field where the text is none."""
    try:
        return from_pbtxt(text)
    except ValueError as error:
        raise ModelBroken(f"{CONFIG_FILE}: {error}") from error


def choices_of(config: Any) -> ServingChoices:
    """How a ModelConfig asks to be served; Unsupported names everything in it that this server does not do."""
    if found := list(problems(config)):
        raise Unsupported(f"{CONFIG_FILE}: {'; '.join(found)}")
    try:
        wanted = {name: value for name, (_, read) in CHOICES.items() if (value := read(config))}
        if config.HasField("version_policy"):
            wanted["versions"] = _versions(config.version_policy)
        return ServingChoices.model_validate(wanted)
    except ValidationError as error:
        problem = first_problem(error)
        where = CHOICES.get(problem.field, ("version_policy",))[0] if problem.field else "dynamic_batching"
        raise ModelBroken(f"{CONFIG_FILE}: {where}: {problem.told}") from error
    except ValueError as error:
        raise ModelBroken(f"{CONFIG_FILE}: {error}") from error


def _versions(policy: Any) -> Any:
    if policy.HasField("specific"):
        return tuple(policy.specific.versions)
    if policy.HasField("latest"):
        return Latest(latest=policy.latest.num_versions or 1)
    return "all" if policy.HasField("all") else "latest"


def _declared(config: Any, folder: Path) -> Declared:
    batched = _batched(config)
    inputs, outputs = (tuple(_spec(one, bool(batched)) for one in part) for part in (config.input, config.output))
    reshaped = [one for part in (config.input, config.output) for one in part if one.HasField("reshape")]
    return Declared(
        source=CONFIG_FILE,
        batched=batched,
        inputs=inputs,
        outputs=outputs,
        client_shapes={one.name: _client_shape(one, bool(batched)) for one in reshaped},
        labels=_labels(config, folder),
        formats={one.name: format_of(one) for one in config.input if one.format},
        optional=frozenset(one.name for one in config.input if one.optional),
        file=config.default_model_filename or MODEL_FILE,
        remark=printable(remark(config), _LONGEST_REMARK),
    )


def _batched(config: Any) -> bool | None:
    """Tensors that come without a largest batch have their whole shape; where neither is said, the file decides."""
    if config.max_batch_size > 0:
        return True
    return False if config.input or config.output else None


def _spec(tensor: Any, batched: bool) -> TensorSpec:
    """A tensor as its model has it, which may be another shape than the one that clients see."""
    triton = data_type_of(tensor)
    datatype = _DATATYPE_OF_TRITON.get(triton, triton.removeprefix("TYPE_"))
    shape = _with_batch(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims, batched)
    try:
        return TensorSpec.model_validate({"name": tensor.name, "datatype": datatype, "shape": shape})
    except ValidationError as error:
        problem = first_problem(error)
        raise ModelBroken(f"{CONFIG_FILE}: {tensor.name}: {problem.field}: {problem.told}") from error


def _with_batch(dims: Iterable[int], batched: bool) -> tuple[int, ...]:
    return ((-1,) if batched else ()) + tuple(dims)


def _client_shape(tensor: Any, batched: bool) -> tuple[int, ...]:
    shape = _with_batch(tensor.dims, batched)
    if (problem := reshape_problem(shape, _with_batch(tensor.reshape.shape, batched))) is not None:
        raise ModelBroken(f"{CONFIG_FILE}: {tensor.name}: reshape: {problem}")
    return shape


def _labels(config: Any, folder: Path) -> dict[str, Labels]:
    """One label a line, of the file that each output names."""
    files = {output.name: output.label_filename for output in config.output if output.label_filename}
    read = {file: Labels(file, tuple(text.removesuffix("\n").split("\n"))) for file, text in _texts(folder, files)}
    return {name: read[file] for name, file in files.items()}


def _texts(folder: Path, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file once, however many outputs name it; ModelBroken where they are larger together than one may be."""
    left = MOST_TEXT_BYTES
    for file in sorted(set(files.values())):
        text = _text(folder, file)
        left -= len(text)
        if left < 0:
            raise ModelBroken(f"{CONFIG_FILE}: label files of more than {MOST_TEXT_BYTES >> 10} KiB together")
        yield file, text


def _text(folder: Path, name: str, most_bytes: int = MOST_TEXT_BYTES) -> str:
    try:
        require_small(folder, name, most_bytes)
        return (folder / name).read_text("utf-8-sig")
    except OSError as error:  # its own words would tell the whole path
        raise ModelBroken(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelBroken(f"{name}: {error}") from error
