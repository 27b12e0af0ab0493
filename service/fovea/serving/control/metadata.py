"""What the server tells of itself, of its models and of its repository."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fovea import __version__
from fovea.contract.lengths import SEQUENCE, NamedLengths
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.repository import why_none
from fovea.serving.control.extensions import Extensions
from fovea.serving.inputs.raw_input import raw_input_facts
from fovea.serving.inputs.token_outputs import text_input, token_outputs
from fovea.serving.lifecycle.model_entries import ModelEntry, VersionState
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.lifecycle.triton_fields import PLATFORM


def server_metadata(offered: Extensions) -> dict[str, Any]:
    """ServerMetadataResponse: the extensions are those that work."""
    return {"name": offered.server_name, "version": __version__, "extensions": offered.names()}


def model_metadata(served: ServedVersion, versions: Iterable[str]) -> dict[str, Any]:
    """ModelMetadataResponse; attention types, labels and the like are in `properties`."""
    card = served.card
    return {
        "name": card.name,
        "versions": list(versions),
        "platform": PLATFORM,
        "inputs": _tensors(card.as_clients_see(card.inputs)),
        "outputs": _tensors(card.as_clients_see(card.outputs)),
        "properties": properties(served),
    }


def _tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": spec.shape} for spec in specs]


def properties(served: ServedVersion) -> dict[str, str]:
    """Facts beyond the protocol's fields, by name; structured ones are JSON. Empty ones are left out."""
    card, loaded = served.card, served.loaded
    accuracy = card.metrics.get("accuracy")
    labels = card.labels_by_output
    prediction = labels.get(card.outputs[0].name, ())
    facts = {
        "attention": card.attention.value,
        "attention_types": ",".join(card.attention_types),
        "kernels": loaded.kernels,
        "kernels_reason": loaded.kernels_reason,
        "batching": loaded.batching,
        "warm_up": loaded.doubt,
        "provider": loaded.provider,
        "parameters": str(card.parameters),
        "batch_cost": json.dumps(cost) if (cost := served.engine.cost.facts()) else "",
        "sha256": loaded.sha256,
        "accuracy": "" if accuracy is None else f"{accuracy:.4f}",
        "labels": json.dumps(prediction) if prediction else "",
        "output_labels": json.dumps(labels) if labels else "",
        "preprocessing": card.preprocessing.model_dump_json() if card.preprocessing else "",
        "input_steps": json.dumps(_steps(card)) if card.steps_by_input else "",
        **_raw_inputs(card),
        **_lengths(card.lengths),
        "maps": json.dumps(_maps(served)) if card.maps else "",
        "token_outputs": json.dumps(_tokens(card)) if token_outputs(card) else "",
        "operator_version": str(card.operator_version or ""),
    }
    return {name: text for name, text in facts.items() if text}


def _steps(card: ModelCard) -> dict[str, Any]:
    return {name: steps.model_dump(mode="json") for name, steps in card.steps_by_input.items()}


def _raw_inputs(card: ModelCard) -> dict[str, str]:
    """The one input that takes pictures, and the one that takes texts."""
    told = {}
    for name, kind in (("image_input", "picture"), ("text_input", "text")):
        facts = [raw_input_facts(one, steps) for one, steps in card.steps_by_input.items() if steps.kind == kind]
        told[name] = json.dumps(facts[0]) if len(facts) == 1 else ""
    return told


def _lengths(lengths: NamedLengths) -> dict[str, str]:
    """By their names; the only one also as `sequence`, which clients knew before lengths had names."""
    every = json.dumps({name: length.model_dump(mode="json") for name, length in lengths.items()})
    only = [length.model_dump_json() for length in lengths.values()]
    return {"lengths": every if lengths else "", SEQUENCE: only[0] if len(only) == 1 else ""}


def _maps(served: ServedVersion) -> list[dict[str, Any]]:
    return [
        {**spec.model_dump(mode="json"), "layer": layer.name, "attention": layer.attention.value}
        for layer in served.card.layers
        for spec in layer.maps
    ]


def _tokens(card: ModelCard) -> list[dict[str, Any]]:
    """What may be asked for beside maps, where texts are sent: the tokens that stand along their axes."""
    return [{**spec.model_dump(mode="json"), "input": text_input(card)} for spec in token_outputs(card).values()]


def repository_index(entries: Mapping[str, ModelEntry], *, only_ready: bool) -> dict[str, Any]:
    """RepositoryIndexResponse: every version the policy chose, with the reason where it is not ready.

    A model of which it chose none is there without a version, and a folder that is none for its name by that name.
    """
    models = [one for name, entry in sorted(entries.items()) for one in _versions(name, entry)]
    return {"models": [one for one in models if one["state"] == VersionState.READY.value or not only_ready]}


def _versions(name: str, entry: ModelEntry) -> Iterator[dict[str, str]]:
    if not entry.versions:
        yield _index_line(name, "", VersionState.UNAVAILABLE, why_none(entry.folder))
    for version, reason in entry.folder.passed_over.items():
        if version not in entry.versions:
            yield _index_line(name, version, VersionState.UNAVAILABLE, reason)
    for version, held in entry.versions.items():
        yield _index_line(name, version, held.state, held.told)


def _index_line(name: str, version: str, state: VersionState, reason: str) -> dict[str, str]:
    return {"name": name, "version": version, "state": state.value, "reason": reason}
