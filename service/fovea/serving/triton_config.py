"""Triton's config.pbtxt: how a model folder that has one, and no model.toml, is served.

What this server does not do is named, never passed over: where leaving it out would change an answer or break a
promise, the model is not served and the reason tells which fields; where it would not, a log line does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from pydantic import ValidationError

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE, TensorSpec
from fovea.runtime.files import require_small
from fovea.runtime.repository import Configured, Latest, ServingChoices
from fovea.runtime.stated import Stated
from fovea.wire import enum_name, message

CONFIG_FILE = "config.pbtxt"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
"""What an ONNX model is called in a configuration, the older way and the newer one."""

HINTS = {
    *("optimization", "model_warmup", "metric_tags", "model_metrics", "parameters"),
    *("input.format", "instance_group.name", "instance_group.kind", "instance_group.gpus", "instance_group.profile"),
    *("instance_group.host_policy", "dynamic_batching.default_queue_policy.allow_timeout_override"),
}
"""Fields that are read by nobody here and change no answer: how to be quick, what to count, and where to run, which is
the server's `device`."""

HEEDED = {
    *("name", "platform", "backend", "version_policy", "max_batch_size", "default_model_filename"),
    *("input.name", "input.data_type", "input.dims", "output.name", "output.data_type", "output.dims"),
    *("output.label_filename", "instance_group.count", "response_cache"),
    *("dynamic_batching.preferred_batch_size", "dynamic_batching.max_queue_delay_microseconds"),
    *("dynamic_batching.priority_levels", "dynamic_batching.default_priority_level"),
    *("dynamic_batching.default_queue_policy.max_queue_size",),
    *("dynamic_batching.default_queue_policy.default_timeout_microseconds",),
}
"""Fields that are done as they say. Whatever is set and in neither set is not supported."""

_PARTS = {"input", "output", "instance_group", "dynamic_batching", "dynamic_batching.default_queue_policy"}
"""Messages that are looked into, field by field."""

_REQUIRED: dict[str, tuple[str, ...]] = {
    "platform": ("", PLATFORM),
    "backend": ("", BACKEND),
    "default_model_filename": ("", MODEL_FILE),
}
"""Fields of which only these values can be served."""

CHOICES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "max_batch_rows": ("max_batch_size", lambda config: config.max_batch_size),
    "instances": ("instance_group.count", lambda config: sum(max(group.count, 1) for group in config.instance_group)),
    "cache": ("response_cache", lambda config: config.response_cache.enable),
    "preferred_batch_rows": (
        "dynamic_batching.preferred_batch_size",
        lambda config: tuple(config.dynamic_batching.preferred_batch_size),
    ),
    "max_queue_delay_s": (
        "dynamic_batching.max_queue_delay_microseconds",
        lambda config: config.dynamic_batching.max_queue_delay_microseconds / 1e6,
    ),
    "priority_levels": (
        "dynamic_batching.priority_levels",
        lambda config: config.dynamic_batching.priority_levels,
    ),
    "default_priority": (
        "dynamic_batching.default_priority_level",
        lambda config: config.dynamic_batching.default_priority_level,
    ),
    "max_queue": (
        "dynamic_batching.default_queue_policy.max_queue_size",
        lambda config: config.dynamic_batching.default_queue_policy.max_queue_size,
    ),
    "default_timeout_s": (
        "dynamic_batching.default_queue_policy.default_timeout_microseconds",
        lambda config: config.dynamic_batching.default_queue_policy.default_timeout_microseconds / 1e6,
    ),
}
"""Serving choice -> the field that makes it, and its value; what is 0, empty or false leaves it to the server."""


def read_config(folder: Path) -> Configured | None:
    """What a model folder's config.pbtxt says; None where it has none. ModelBroken tells what cannot be served."""
    path = folder / CONFIG_FILE
    if not (path.exists() or path.is_symlink()):
        return None
    return configured_of(parse(_text(folder, CONFIG_FILE)), folder)


def configured_of(config: Any, folder: Path) -> Configured:
    """What a ModelConfig says of the model in a folder; ModelBroken tells what cannot be served."""
    if config.name not in ("", folder.name):
        raise ModelBroken(f"{CONFIG_FILE}: name: expected {folder.name}, found {config.name}")
    return Configured(choices_of(config), _stated(config, folder))


def parse(text: str) -> Any:
    """A ModelConfig; ModelBroken tells line and field where the text is none."""
    try:
        return text_format.Parse(text, message("ModelConfig")())
    except text_format.ParseError as error:
        raise ModelBroken(f"{CONFIG_FILE}: {error}") from error


def choices_of(config: Any) -> ServingChoices:
    """How a ModelConfig asks to be served; ModelBroken names everything in it that this server does not do."""
    if problems := list(_problems(config)):
        raise ModelBroken(f"{CONFIG_FILE}: {'; '.join(problems)}")
    wanted = {name: value for name, (_, read) in CHOICES.items() if (value := read(config))}
    if config.HasField("version_policy"):
        wanted["versions"] = _versions(config.version_policy)
    try:
        return ServingChoices.model_validate(wanted)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ModelBroken(f"{CONFIG_FILE}: {CHOICES.get(name, ('version_policy',))[0]}: {first['msg']}") from error


def fields_set(config: Any) -> list[str]:
    """The paths of the fields that are set, as deep as they are told apart here."""
    return list(_paths("", config))


def _paths(prefix: str, part: Any) -> Iterator[str]:
    for field, value in part.ListFields():
        path = prefix + field.name
        if path not in _PARTS:
            yield path
            continue
        for inner in value if field.is_repeated else [value]:
            yield from _paths(f"{path}.", inner)


def _problems(config: Any) -> Iterator[str]:
    """In words, whatever cannot be served as it is asked for."""
    strange = [path for path in fields_set(config) if path not in HEEDED | HINTS and not _is_default(config, path)]
    unknown = [
        path for name, (path, read) in CHOICES.items() if read(config) and name not in ServingChoices.model_fields
    ]
    for path in dict.fromkeys(strange + unknown):
        yield f"{path} is not supported"
    for name, values in _REQUIRED.items():
        if (value := getattr(config, name)) not in values:
            yield f"{name}: expected {values[-1]}, found {value}"
    if config.HasField("dynamic_batching") and config.max_batch_size < 1:
        yield "dynamic_batching: max_batch_size is 0, so there are no batches"
    if len({output.label_filename for output in config.output if output.label_filename}) > 1:
        yield "output.label_filename: labels that differ from output to output are not supported"


def _is_default(config: Any, path: str) -> bool:
    """Whether a field is there and asks for nothing: `model_transaction_policy { decoupled: false }`."""
    return path == "model_transaction_policy" and not config.model_transaction_policy.decoupled


def _versions(policy: Any) -> Any:
    if policy.HasField("specific"):
        return tuple(policy.specific.versions)
    if policy.HasField("latest"):
        return Latest(latest=policy.latest.num_versions or 1)
    return "all" if policy.HasField("all") else "latest"


def _stated(config: Any, folder: Path) -> Stated:
    batched = config.max_batch_size > 0
    inputs, outputs = (tuple(_spec(one, batched) for one in part) for part in (config.input, config.output))
    return Stated(CONFIG_FILE, batched, inputs, outputs, _labels(config, folder), _remark(config))


def _remark(config: Any) -> str:
    hints = [path for path in fields_set(config) if path in HINTS]
    return f"without effect here: {', '.join(dict.fromkeys(hints))}" if hints else ""


def _spec(tensor: Any, batched: bool) -> TensorSpec:
    """A tensor as the server's models describe theirs."""
    datatype = enum_name("DataType", tensor.data_type).removeprefix("TYPE_").replace("STRING", "BYTES")
    shape = ((-1,) if batched else ()) + tuple(tensor.dims)
    try:
        return TensorSpec.model_validate({"name": tensor.name, "datatype": datatype, "shape": shape})
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelBroken(f"{CONFIG_FILE}: {tensor.name}: {first['loc'][0]}: {first['msg']}") from error


def _labels(config: Any, folder: Path) -> tuple[str, ...]:
    """One label a line, of the file that an output names."""
    names = [output.label_filename for output in config.output if output.label_filename]
    if not names:
        return ()
    return tuple(_text(folder, names[0]).splitlines())


def _text(folder: Path, name: str) -> str:
    try:
        require_small(folder, name)
        return (folder / name).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{name}: {error}") from error
