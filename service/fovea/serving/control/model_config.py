"""A model version's configuration, as Triton's clients read it."""

from __future__ import annotations

from typing import Any

from fovea.contract.datatypes import DATATYPES
from fovea.contract.lengths import masks_of
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.serving.control.metadata import properties
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.triton_fields import BACKEND, PLATFORM


def model_config(served: ServedVersion) -> dict[str, Any]:
    """ModelConfigResponse, also with fields that are always empty here: Triton's JSON has them."""
    card, facts = served.card, properties(served)
    config = {
        "name": card.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "runtime": "",
        "version_policy": _version_policy(served.folder.choices.versions),
        "max_batch_size": served.max_batch_rows if card.batched else 0,
        "input": _inputs(served),
        "output": _outputs(served),
        "batch_input": [],
        "batch_output": [],
        **({"dynamic_batching": _batching(served)} if card.batched else {}),
        "instance_group": [_instances(served)],
        "default_model_filename": served.loaded.file,
        "cc_model_filenames": {},
        "metric_tags": {},
        "parameters": {name: {"string_value": facts.get(name, "")} for name in ("attention", "kernels", "batch_cost")},
        "model_warmup": [],
        "response_cache": {"enable": served.cache is not None},
    }
    return {"config": config}


def _version_policy(choice: Any) -> dict[str, Any]:
    if choice == "all":
        return {"all": {}}
    if isinstance(choice, tuple):
        return {"specific": {"versions": choice}}
    return {"latest": {"num_versions": 1 if choice == "latest" else choice.latest}}


def _inputs(served: ServedVersion) -> list[dict[str, Any]]:
    card, formats = served.card, _formats(served)
    optional = masks_of(card.lengths).union(card.optional_inputs)
    return [
        {
            "name": spec.name,
            "data_type": DATATYPES[spec.datatype].triton,
            "format": formats.get(spec.name, "FORMAT_NONE"),
            **_shape(spec, card),
            "is_shape_tensor": False,
            "allow_ragged_batch": False,
            "optional": spec.name in optional,
            "is_non_linear_format_io": False,
        }
        for spec in card.inputs
    ]


def _formats(served: ServedVersion) -> dict[str, str]:
    """Input -> the order of its axes: of pictures, and where another server's configuration says it."""
    pictures = {name: "FORMAT_NCHW" for name, steps in served.card.steps_by_input.items() if steps.kind == "picture"}
    declared = served.folder.declared
    return pictures if declared is None else {**pictures, **declared.formats}


def _outputs(served: ServedVersion) -> list[dict[str, Any]]:
    """Label files are those that another server's configuration names; a card's labels are in the metadata."""
    declared = served.folder.declared
    files = {} if declared is None else {name: labels.file for name, labels in declared.labels.items()}
    return [
        {
            "name": spec.name,
            "data_type": DATATYPES[spec.datatype].triton,
            **_shape(spec, served.card),
            "label_filename": files.get(spec.name, ""),
            "is_shape_tensor": False,
            "is_non_linear_format_io": False,
        }
        for spec in served.card.outputs
    ]


def _shape(spec: TensorSpec, card: ModelCard) -> dict[str, Any]:
    """Without the batch axis; where clients see another shape than the model has, both."""
    first = 1 if card.batched else 0
    dims = card.client_shapes.get(spec.name)
    if dims is None:
        return {"dims": spec.shape[first:]}
    return {"dims": dims[first:], "reshape": {"shape": spec.shape[first:]}}


def _batching(served: ServedVersion) -> dict[str, Any]:
    choices, queueing = served.folder.choices, served.engine.queueing
    return {
        "preferred_batch_size": queueing.preferred_rows,
        "max_queue_delay_microseconds": round(queueing.delay_s * 1e6),
        "preserve_ordering": False,
        "priority_levels": choices.priority_levels,
        "default_priority_level": choices.default_priority or choices.priority_levels,
        "default_queue_policy": {
            "timeout_action": "REJECT",
            "default_timeout_microseconds": round((choices.default_timeout_s or 0) * 1e6),
            "allow_timeout_override": False,
            "max_queue_size": queueing.most_requests,
        },
        "priority_queue_policy": {},
    }


def _instances(served: ServedVersion) -> dict[str, Any]:
    return {
        "name": served.card.name,
        "kind": "KIND_GPU" if served.loaded.provider.startswith("CUDA") else "KIND_CPU",
        "count": served.folder.choices.instances,
        "gpus": [],
        "secondary_devices": [],
        "profile": [],
        "passive": False,
        "host_policy": "",
    }
