"""Every field of Triton's ModelConfig, and what becomes of it here: done, passed over with a word, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
"""What an ONNX model is called in a configuration, the older way and the newer one."""
PARAMETERS = "parameters"


@dataclass(frozen=True)
class Use:
    """What becomes of a field, and why where it is not done."""

    kind: Literal["done", "passed over", "refused"]
    why: str = ""


DONE = Use("done")
_QUICKNESS = Use("passed over", "it changes no answer")
_PLACE = Use("passed over", "the server's device says where models run")
_COUNTS = Use("passed over", "the server's own metrics hold")
_ONE_BY_ONE = Use("passed over", "operators run one after another")
_RAGGED = Use("refused", "inputs that differ in shape are never joined")
_SHAPE_TENSOR = Use("refused", "it is TensorRT's")

FIELDS: Mapping[str, Use] = {
    "name": DONE,
    "platform": DONE,
    "backend": DONE,
    "runtime": Use("passed over", "ONNX Runtime is built in"),
    "version_policy": DONE,
    "max_batch_size": DONE,
    "input.name": DONE,
    "input.data_type": DONE,
    "input.format": DONE,
    "input.dims": DONE,
    "input.reshape": DONE,
    "input.is_shape_tensor": _SHAPE_TENSOR,
    "input.allow_ragged_batch": _RAGGED,
    "input.optional": DONE,
    "input.is_non_linear_format_io": _SHAPE_TENSOR,
    "output.name": DONE,
    "output.data_type": DONE,
    "output.dims": DONE,
    "output.reshape": DONE,
    "output.label_filename": DONE,
    "output.is_shape_tensor": _SHAPE_TENSOR,
    "output.is_non_linear_format_io": _SHAPE_TENSOR,
    "batch_input": _RAGGED,
    "batch_output": _RAGGED,
    "optimization": _QUICKNESS,
    "dynamic_batching.preferred_batch_size": DONE,
    "dynamic_batching.max_queue_delay_microseconds": DONE,
    "dynamic_batching.preserve_ordering": Use("refused", "answers are in order within a stream only"),
    "dynamic_batching.priority_levels": DONE,
    "dynamic_batching.default_priority_level": DONE,
    "dynamic_batching.default_queue_policy.timeout_action": Use("refused", "what has timed out is never run"),
    "dynamic_batching.default_queue_policy.default_timeout_microseconds": DONE,
    "dynamic_batching.default_queue_policy.allow_timeout_override": Use("passed over", "a request may always say"),
    "dynamic_batching.default_queue_policy.max_queue_size": DONE,
    "dynamic_batching.priority_queue_policy": Use("refused", "all priorities share one queue"),
    "sequence_batching": Use("refused", "models keep no state between requests"),
    "ensemble_scheduling": Use("refused", "each model is one ONNX file"),
    "instance_group.name": _PLACE,
    "instance_group.kind": _PLACE,
    "instance_group.count": DONE,
    "instance_group.rate_limiter": _QUICKNESS,
    "instance_group.gpus": _PLACE,
    "instance_group.secondary_devices": _PLACE,
    "instance_group.profile": _PLACE,
    "instance_group.passive": Use("refused", "every instance serves"),
    "instance_group.host_policy": _PLACE,
    "default_model_filename": DONE,
    "cc_model_filenames": Use("refused", "one file serves every device"),
    "metric_tags": _COUNTS,
    "parameters": Use("passed over", "it is none of those that are known here"),
    "parameters.intra_op_thread_count": DONE,
    "parameters.inter_op_thread_count": _ONE_BY_ONE,
    "parameters.execution_mode": _ONE_BY_ONE,
    "parameters.enable_mem_arena": DONE,
    "parameters.memory.enable_memory_arena_shrinkage": DONE,
    "model_warmup": Use("passed over", "every version is warmed up with rows of its own"),
    "model_operations": DONE,
    "model_transaction_policy.decoupled": Use("refused", "each request gets one answer"),
    "model_repository_agents": Use("refused", "there are none"),
    "response_cache": DONE,
    "model_metrics": _COUNTS,
}
"""Path of a field -> what becomes of it. Fields that are left out, or have their default, ask for nothing."""

PARTS = {
    *("input", "output", "instance_group", "model_transaction_policy"),
    *("dynamic_batching", "dynamic_batching.default_queue_policy"),
}
"""Messages that are looked into, field by field."""


def fields_set(config: Any) -> list[str]:
    """The paths of the fields that are set, as deep as they are told apart here; parameters by their names."""
    return list(dict.fromkeys(_paths("", config)))


def _paths(prefix: str, part: Any) -> Iterator[str]:
    for field, value in part.ListFields():
        path = prefix + field.name
        if path == PARAMETERS:
            yield from (f"{PARAMETERS}.{name}" for name in sorted(value))
        elif path in PARTS:
            for inner in value if field.is_repeated else [value]:
                yield from _paths(f"{path}.", inner)
        else:
            yield path


def use_of(path: str) -> Use:
    """What becomes of a field that is set; one that no line names is a parameter's."""
    return FIELDS.get(path) or FIELDS[PARAMETERS]


def problems(config: Any) -> Iterator[str]:
    """In words, whatever cannot be served as it is asked for."""
    for path in fields_set(config):
        if (use := use_of(path)).kind == "refused":
            yield f"{path} is not supported: {use.why}"
    for name, expected in (("platform", PLATFORM), ("backend", BACKEND)):
        if (value := getattr(config, name)) not in ("", expected):
            yield f"{name}: expected {expected}, found {value}"
    if not _is_name(config.default_model_filename):
        yield f"default_model_filename: expected the name of a file, found {config.default_model_filename}"


def _is_name(file: str) -> bool:
    """Whether it names something in a folder, and nothing elsewhere."""
    return not ({"/", "\0"} & set(file) or file in (".", ".."))


def remark(config: Any) -> str:
    """What is set and does nothing here, for log and index; empty where there is no such thing."""
    hints = [f"{path} ({use_of(path).why})" for path in fields_set(config) if use_of(path).kind == "passed over"]
    if config.HasField("dynamic_batching") and config.max_batch_size < 1 and (config.input or config.output):
        hints.append("dynamic_batching's sizes and delay (max_batch_size is 0, so there are no batches)")
    return f"without effect here: {', '.join(hints)}" if hints else ""
