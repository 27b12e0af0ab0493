"""A model version's configuration, as Triton's clients read it."""

from __future__ import annotations

from typing import Any

from fovea.contract.datatypes import DATATYPES
from fovea.contract.lengths import masks_of
from fovea.contract.model_card import ModelCard, TensorSpec
from fovea.serving.control.metadata import properties
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.triton_fields import BACKEND, PLATFORM
from fovea.wire import enum_number, message


def model_config(served: ServedVersion) -> Any:
    """ModelConfigResponse; dims are without the batch axis."""
    card = served.card
    response = message("ModelConfigResponse")()
    config = response.config
    config.name, config.platform, config.backend = card.name, PLATFORM, BACKEND
    config.default_model_filename = served.loaded.file
    config.max_batch_size = served.max_batch_rows if card.batched else 0
    for specs, field in ((card.inputs, config.input), (card.outputs, config.output)):
        for spec in specs:
            _set_tensor(field.add(name=spec.name, data_type=_data_type(spec)), spec, card)
    _set_labels(config, served)
    optional = masks_of(card.lengths).union(card.optional_inputs)
    for tensor in config.input:
        tensor.optional = tensor.name in optional
    if card.batched:
        _set_batching(config.dynamic_batching, served)
    config.instance_group.add(
        name=card.name, kind=_instance_kind(served.loaded.provider), count=served.folder.choices.instances
    )
    config.response_cache.enable = served.cache is not None
    _set_version_policy(config, served)
    facts = properties(served)
    for name in ("attention", "kernels", "batch_cost"):
        config.parameters[name].string_value = facts.get(name, "")
    return response


def _set_tensor(tensor: Any, spec: TensorSpec, card: ModelCard) -> None:
    first = 1 if card.batched else 0
    tensor.dims.extend(card.client_shapes.get(spec.name, spec.shape)[first:])
    if spec.name in card.client_shapes:
        tensor.reshape.SetInParent()  # also where the model's shape is empty
        tensor.reshape.shape.extend(spec.shape[first:])


def _set_labels(config: Any, served: ServedVersion) -> None:
    """The files that another server's configuration names; those of a card are in the metadata."""
    declared = served.folder.declared
    for tensor in config.output:
        if declared is not None and (labels := declared.labels.get(tensor.name)):
            tensor.label_filename = labels.file


def _set_batching(batching: Any, served: ServedVersion) -> None:
    choices, queueing = served.folder.choices, served.engine.queueing
    batching.preferred_batch_size.extend(queueing.preferred_rows)
    batching.max_queue_delay_microseconds = round(queueing.delay_s * 1e6)
    batching.priority_levels = choices.priority_levels
    batching.default_priority_level = choices.default_priority or choices.priority_levels
    batching.default_queue_policy.max_queue_size = queueing.most_requests
    batching.default_queue_policy.default_timeout_microseconds = round((choices.default_timeout_s or 0) * 1e6)


def _data_type(spec: TensorSpec) -> int:
    return enum_number("DataType", DATATYPES[spec.datatype].triton)


def _instance_kind(provider: str) -> int:
    kind = "KIND_GPU" if provider.startswith("CUDA") else "KIND_CPU"
    return message("ModelInstanceGroup").Kind.Value(kind)  # type: ignore[no-any-return]


def _set_version_policy(config: Any, served: ServedVersion) -> None:
    choice = served.folder.choices.versions
    if choice == "all":
        config.version_policy.all.SetInParent()
    elif isinstance(choice, tuple):
        config.version_policy.specific.versions.extend(choice)
    else:
        config.version_policy.latest.num_versions = 1 if choice == "latest" else choice.latest
