"""What the server tells of itself and its models: the answers of every RPC but ModelInfer, made from facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fovea import __version__
from fovea.contract.model_card import TensorSpec
from fovea.runtime.repository import why_none
from fovea.serving.models import ModelEntry, VersionState
from fovea.serving.picture_input import picture_input
from fovea.serving.served_version import ServedVersion
from fovea.serving.statistics import BatchTotals, Total, VersionTotals
from fovea.serving.triton_fields import BACKEND, PLATFORM
from fovea.wire import enum_number, message

_STRING_TYPE = {"BYTES": "STRING"}


def server_metadata(extensions: Iterable[str]) -> Any:
    """ServerMetadataResponse: the extensions are those that work."""
    return message("ServerMetadataResponse")(name="fovea", version=__version__, extensions=extensions)


def model_metadata(served: ServedVersion, versions: Iterable[str]) -> Any:
    """ModelMetadataResponse; attention types, labels and the like are in `properties`."""
    response = message("ModelMetadataResponse")(
        name=served.card.name, versions=versions, platform=PLATFORM, properties=properties(served)
    )
    for specs, field in ((served.card.inputs, response.inputs), (served.card.outputs, response.outputs)):
        for spec in specs:
            field.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    return response


def properties(served: ServedVersion) -> dict[str, str]:
    """Facts beyond the protocol's fields, by name; structured ones are JSON. Empty ones are left out."""
    card, loaded = served.card, served.loaded
    accuracy, pictures = card.metrics.get("accuracy"), picture_input(card)
    facts = {
        "attention": card.attention.value,
        "attention_types": ",".join(card.attention_types),
        "kernels": loaded.kernels,
        "kernels_reason": loaded.kernels_reason,
        "provider": loaded.provider,
        "parameters": str(card.parameters),
        "batch_cost": json.dumps(loaded.cost.facts()) if loaded.cost.curves else "",
        "sha256": loaded.sha256,
        "accuracy": "" if accuracy is None else f"{accuracy:.4f}",
        "labels": json.dumps(card.labels) if card.labels else "",
        "preprocessing": card.preprocessing.model_dump_json() if card.preprocessing else "",
        "image_input": json.dumps(pictures.facts()) if pictures else "",
        "sequence": card.sequence.model_dump_json() if card.sequence else "",
        "maps": json.dumps(_maps(served)) if card.maps else "",
        "operator_version": str(card.operator_version or ""),
    }
    return {name: text for name, text in facts.items() if text}


def _maps(served: ServedVersion) -> list[dict[str, Any]]:
    return [
        {**spec.model_dump(mode="json"), "layer": layer.name, "attention": layer.attention.value}
        for layer in served.card.layers
        for spec in layer.maps
    ]


def model_config(served: ServedVersion) -> Any:
    """ModelConfigResponse, as Triton's clients read it: dims without the batch axis."""
    card = served.card
    response = message("ModelConfigResponse")()
    config = response.config
    config.name, config.platform, config.backend = card.name, PLATFORM, BACKEND
    config.default_model_filename = "model.onnx"
    config.max_batch_size = served.max_batch_rows if card.batched else 0
    for specs, field in ((card.inputs, config.input), (card.outputs, config.output)):
        for spec in specs:
            field.add(name=spec.name, data_type=_data_type(spec), dims=spec.shape[1 if card.batched else 0 :])
    for tensor in config.input:
        tensor.optional = card.sequence is not None and tensor.name == card.sequence.mask
    if card.batched:
        batching = config.dynamic_batching
        batching.preferred_batch_size.extend(served.preferred_rows)
        batching.max_queue_delay_microseconds = round(served.policy.delay_s * 1e6)
        _set_queue(batching, served)
    config.instance_group.add(
        name=card.name, kind=_instance_kind(served.loaded.provider), count=served.folder.choices.instances
    )
    config.response_cache.enable = served.cache is not None
    _set_version_policy(config, served)
    facts = properties(served)
    for name in ("attention", "kernels", "batch_cost"):
        config.parameters[name].string_value = facts.get(name, "")
    return response


def _set_queue(batching: Any, served: ServedVersion) -> None:
    choices = served.folder.choices
    batching.priority_levels = choices.priority_levels
    batching.default_priority_level = choices.default_priority or choices.priority_levels
    batching.default_queue_policy.max_queue_size = served.limit.requests
    batching.default_queue_policy.default_timeout_microseconds = round((choices.default_timeout_s or 0) * 1e6)


def _data_type(spec: TensorSpec) -> int:
    return enum_number("DataType", f"TYPE_{_STRING_TYPE.get(spec.datatype, spec.datatype)}")


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


def model_statistics(served: Iterable[ServedVersion]) -> Any:
    """ModelStatisticsResponse: `inference_count` counts rows, `execution_count` batches."""
    response = message("ModelStatisticsResponse")()
    for version in served:
        _fill_statistics(response.model_stats.add(), version, version.statistics.read())
    return response


def _fill_statistics(stats: Any, served: ServedVersion, totals: VersionTotals) -> None:
    stats.name, stats.version = served.card.name, served.version
    stats.last_inference = totals.last_inference_ms
    stats.inference_count, stats.execution_count = totals.inference_count, totals.execution_count
    for name in ("success", "fail", "queue", "cache_hit", "cache_miss"):
        _fill_total(getattr(stats.inference_stats, name), getattr(totals, name))
    _fill_compute(stats.inference_stats, totals.compute)
    for rows, of_rows in sorted(totals.by_rows.items()):
        batch = stats.batch_stats.add(batch_size=rows)
        _fill_compute(batch, of_rows)


def _fill_compute(target: Any, totals: BatchTotals) -> None:
    for name in ("compute_input", "compute_infer", "compute_output"):
        _fill_total(getattr(target, name), getattr(totals, name))


def _fill_total(target: Any, total: Total) -> None:
    target.count, target.ns = total.count, total.ns


def repository_index(entries: Mapping[str, ModelEntry], *, only_ready: bool) -> Any:
    """RepositoryIndexResponse: every version the policy chose, with the reason where it is not ready.

    A model of which it chose none is there without a version.
    """
    response = message("RepositoryIndexResponse")()
    for name, entry in sorted(entries.items()):
        if not entry.versions and not only_ready:
            state, reason = VersionState.UNAVAILABLE.value, why_none(entry.folder)
            response.models.add(name=name, state=state, reason=reason)
        for version, held in entry.versions.items():
            if held.state is VersionState.READY or not only_ready:
                response.models.add(name=name, version=version, state=held.state.value, reason=held.reason)
    return response
