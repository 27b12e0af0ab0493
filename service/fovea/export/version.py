"""From a subject to a published version: graph, files, parity, golden batch, card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import onnx
import torch
from pydantic import ValidationError

from fovea.contract.attention_layer import primary_attention
from fovea.contract.errors import ExportFailed, FoveaError, ModelBroken
from fovea.contract.lengths import LengthSpec, input_axes
from fovea.contract.model_card import GOLDEN_FILE, MAPS_FILE, MODEL_FILE, ModelCard, Parity
from fovea.contract.operators import VERSION
from fovea.contract.validation import first_problem
from fovea.export.expected import BATCH_ROWS, Expected, expected_batches
from fovea.export.exporter import export_graph
from fovea.export.found_maps import FoundMaps
from fovea.export.function_bodies import OPSET
from fovea.export.graph import ExportedGraph
from fovea.export.independent_rows import require_independent_rows
from fovea.export.own_maps import with_own_maps
from fovea.export.parity import compare, measure_bodies, measure_kernels
from fovea.export.publish import publish
from fovea.export.reference import Reference
from fovea.export.step_files import files_of, require_files
from fovea.export.weights import save_models
from fovea.recipes.subject import Subject
from fovea.runtime.attention_seen import Seen, attention_seen
from fovea.runtime.batching_choice import Wanted, choose_batching
from fovea.runtime.golden import write_golden
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.probe import ProbeLimits, TrialSubject, probe_version
from fovea.runtime.trial_question import Tried

_GOLDEN_ROWS, _GOLDEN_INPUT_BYTES = 4, 8 << 20
"""Of large inputs fewer rows, but one at least."""
_PROBE = ProbeLimits(seconds=120)
"""More patience than a server has: nobody waits for an answer."""

logger = logging.getLogger(__name__)
stages = logging.getLogger(f"{__name__}.stages")
"""Says what is being done, for whoever waits."""


def export_version(
    subject: Subject,
    repository: Path,
    version: int | None = None,
    kernel_library: Path | None = None,
    reference: Reference | None = None,
) -> Path:
    """Export, check against PyTorch, publish; the new version's folder. ExportFailed tells what did not work.

    `reference`: the module's oracle, where there is one already.
    """
    require_files(subject.input_steps, subject.files, subject.lengths.values())
    reference = reference or Reference(subject.module)
    stages.info("seeing that rows are independent")
    require_independent_rows(reference, subject.rows)
    example = {name: torch.tensor(array) for name, array in subject.rows(2).items()}
    names, places = list(subject.lengths), input_axes(subject.lengths)
    lengths = {name: {axis: names[place] for axis, place in axes.items()} for name, axes in places.items()}
    stages.info("tracing the module")
    graph = with_own_maps(export_graph(subject.module, example, subject.output_names, lengths), subject.attention)
    if graph.maps is not None and any(layer.found for layer in graph.layers):
        reference = reference.seeing(FoundMaps(graph.maps, graph.layers))
    return publish(repository, subject.name, version, partial(_write, subject, reference, graph, kernel_library))


def _write(
    subject: Subject, reference: Reference, graph: ExportedGraph, kernel_library: Path | None, folder: Path
) -> ModelCard:
    files = save_models(folder, _models(graph))
    for name, text in files_of(subject.input_steps, subject.files).items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    card = _describe(subject, graph, attention_seen(files[0]))
    stages.info("asking PyTorch, in float64")
    batches, golden = expected_batches(subject, reference, golden_rows(subject))
    stages.info("comparing the exported file with PyTorch")
    bodies = measure_bodies(files, batches)
    tolerances = _write_golden(folder / GOLDEN_FILE, files[-1], card, golden)
    card = card.model_copy(update={"parity": (bodies,), "tolerances": tolerances})
    stages.info("trying it as a server will")
    tried = _tried(folder, card, kernel_library if graph.layers else None)
    card = _as_tried(card, tried)
    if kernel_library is None or not graph.layers:
        return card
    stages.info("comparing the kernels with PyTorch")
    kernels = _kernel_parity(card.name, batches, files, kernel_library, tried)
    return card.model_copy(update={"parity": (bodies, kernels)}) if kernels is not None else card


def golden_rows(subject: Subject) -> int:
    """How many rows its golden batch has."""
    row_bytes = sum(array.nbytes for array in subject.rows(1).values())
    return max(1, min(_GOLDEN_ROWS, _GOLDEN_INPUT_BYTES // max(1, row_bytes)))


def _tried(folder: Path, card: ModelCard, library: Path | None) -> Tried:
    """What a server will see when it tries the version, in a process that kernels may crash."""
    names = {path.name: "" for path in folder.iterdir()}  # the hashes follow when all is written
    subject = TrialSubject(folder, max(BATCH_ROWS), card.model_copy(update={"sha256": names}), "said")
    try:
        return probe_version(subject, SessionSettings(kernel_library=library), _PROBE)
    except ModelBroken as error:
        raise ExportFailed(f"no server could serve the exported version: {error}") from error


def _as_tried(card: ModelCard, tried: Tried) -> ModelCard:
    """The card with what was seen, and a warning where that costs batches. ExportFailed where rows mix."""
    if tried.rows.seen == "mixed":
        raise ExportFailed(f"the exported file does not keep the rows of a batch apart: {tried.rows.reason}")
    choice = choose_batching(Wanted("said", "its card"), tried.rows)
    if choice.reason:
        logger.warning("%s: servers will say: %s", card.name, choice.reason)
    for name, harm in tried.padding_harm.items():
        logger.warning(
            "%s: %s, so that only requests of the same length %s will share batches. Where the module has a mask, name "
            "it with --mask, and see that it is used wherever the module looks along that length",
            card.name,
            harm,
            name,
        )
    padded = {name: length.padded and name not in tried.padding_harm for name, length in card.lengths.items()}
    lengths = {name: length.model_copy(update={"padded": padded[name]}) for name, length in card.lengths.items()}
    return card.model_copy(update={"lengths": lengths})


def _kernel_parity(
    name: str, batches: Sequence[Expected], files: Sequence[Path], library: Path, tried: Tried
) -> Parity | None:
    """The kernels' record. Of kernels that crash, fail or disagree there is none but a warning: the bodies decide."""
    try:
        if tried.obstacle is not None:
            raise ModelBroken(tried.obstacle.reason)
        return measure_kernels(files, batches, library)
    except FoveaError as error:
        logger.warning("%s: no parity of kernels, since %s", name, error)
        return None


def _models(graph: ExportedGraph) -> dict[str, onnx.ModelProto]:
    """File name -> model, the one with all outputs last."""
    return {MODEL_FILE: graph.model} | ({MAPS_FILE: graph.maps} if graph.maps is not None else {})


def _write_golden(path: Path, file: Path, card: ModelCard, golden: Expected) -> dict[str, float]:
    """Write PyTorch's float64 answers; the tolerance of each, measured on `file`, which gives them all."""
    compared = compare(open_session(file, SessionSettings()), golden)
    answers = dict(zip(compared, golden.exact[: len(compared)], strict=True))
    outputs = {spec.name: answers[spec.name] for spec in card.outputs}
    write_golden(path, golden.inputs, outputs, {name: answers[name] for name in card.maps})
    return {name: comparison.golden_tolerance for name, comparison in compared.items()}


def _describe(subject: Subject, graph: ExportedGraph, seen: Seen) -> ModelCard:
    """What is known before anything is measured. Attention that nobody named is told of.

    ExportFailed where the parts of the subject do not fit each other.
    """
    attention = subject.attention or (primary_attention(graph.layers) if graph.layers else seen.attention)
    for line in graph.undone:
        logger.warning("%s: %s", subject.name, line)
    if seen.unnamed:
        logger.warning("%s: %s", subject.name, seen.warning(attention))
    try:
        return ModelCard(
            name=subject.name,
            attention=attention,
            layers=graph.layers,
            undone=graph.undone,
            inputs=graph.inputs,
            outputs=graph.outputs,
            batched=True,
            lengths={name: _with_outputs(name, length, graph) for name, length in subject.lengths.items()},
            labels=subject.labels,
            preprocessing=subject.preprocessing,
            input_steps=dict(subject.input_steps),
            parameters=sum(parameter.numel() for parameter in subject.module.parameters()),
            metrics=dict(subject.metrics),
            training=subject.training,
            opset=OPSET,
            operator_version=VERSION if any(layer.operator for layer in graph.layers) else None,
        )
    except ValidationError as error:
        raise ExportFailed(f"{subject.name}: {first_problem(error).told}") from error


def _with_outputs(name: str, length: LengthSpec, graph: ExportedGraph) -> LengthSpec:
    """With the outputs and maps that have this length."""
    found = {
        output: tuple(axis for axis, length_name in axes.items() if length_name == name)
        for output, axes in graph.lengths.items()
    }
    return length.model_copy(update={"outputs": {output: axes for output, axes in found.items() if axes}})
