"""Loads one version: whole files, agreeing specs, golden answers, a race of kernels against bodies, and a warm-up."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from fovea.contract.errors import ExecutionFailed, FoveaError, ModelBroken
from fovea.contract.model_card import MODEL_FILE, ModelCard
from fovea.runtime.files import model_path, require_inside
from fovea.runtime.found_version import FoundVersion, find_version
from fovea.runtime.golden import Golden, golden_of
from fovea.runtime.kernel_choice import Choice, Open, choose_kernels, offer_for, require_fused
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.opening import open_model
from fovea.runtime.printable import printable
from fovea.runtime.repository import NOTHING_SAID, Configured, ModelFolder
from fovea.runtime.sample_rows import WarmUpRows
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.stopwatch import by_the_clock

logger = logging.getLogger(__name__)


def load_chosen(folder: ModelFolder, version: int, defaults: LoadSettings) -> LoadedVersion:
    """Load a version as its model's folder says. ModelBroken where that, or the version, cannot be served."""
    if folder.problem:
        raise ModelBroken(folder.problem)
    return load_version(folder.version_path(version), folder.name, version, defaults, folder.configured)


def load_version(
    folder: Path, name: str, version: int, defaults: LoadSettings, said: Configured = NOTHING_SAID
) -> LoadedVersion:
    """Load the version in `folder`, tried, checked and warmed up. ModelBroken tells why it cannot be served."""
    try:
        require_inside(folder, said.file)
        return _load(folder, version, find_version(folder, name, defaults, said), defaults, said)
    except MemoryError as error:
        raise ModelBroken(f"{MODEL_FILE}: it needs more memory than there is") from error
    except OSError as error:
        raise ModelBroken(
            printable(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}")
        ) from error
    except FoveaError as error:
        raise type(error)(printable(str(error))) from error


def _load(folder: Path, version: int, found: FoundVersion, defaults: LoadSettings, said: Configured) -> LoadedVersion:
    settings, card = found.settings, found.settings.card
    name = card.name
    if found.tried.seen.unnamed and said.choices.attention is None:
        logger.warning("%s version %d: %s", name, version, found.tried.seen.warning(card.attention))
    signature = Signature.of(card, card.outputs, settings.max_batch_rows)
    golden = golden_of(folder, card)

    def open_with(library: Path | None) -> ModelSession:
        return open_model(model_path(folder, said.file), signature, replace(settings.session, kernel_library=library))

    choice = _choose(open_with, defaults, found, golden)
    if choice.reason:
        logger.info("%s version %d: kernels=%s: %s", name, version, choice.kernels, choice.reason)
    batching = found.batching or settings.why_one_row
    if batching:
        level = logging.WARNING if found.batching and found.unexpected else logging.INFO
        logger.log(level, "%s version %d: %s", name, version, batching)
    _require_optional(choice.session, card, golden)
    loaded = LoadedVersion(folder, card, version, choice, settings.session, batching=batching, file=said.file)
    loaded.warm_up(golden, found.tried.cost)
    return loaded


def _require_optional(session: ModelSession, card: ModelCard, golden: Golden | None) -> None:
    """ModelBroken where the model fails without what requests may leave out, and runs with it."""
    row = WarmUpRows(card, golden).smallest
    left = {name: array for name, array in row.items() if name not in card.optional_inputs}
    if len(left) in (0, len(row)):
        return
    try:
        session.infer(row)
    except ExecutionFailed:
        return
    try:
        session.infer(left)
    except ExecutionFailed as error:
        raise ModelBroken(
            f"requests may leave out {list(card.optional_inputs)}, and the model fails so: {error}"
        ) from error


def _choose(open_with: Open, defaults: LoadSettings, found: FoundVersion, golden: Golden | None) -> Choice:
    offer = found.settings.session.kernel_library or defaults.no_library
    if found.tried.obstacle is not None:  # what ended the child would end this process: it is not even opened here
        offer = found.tried.obstacle
    elif isinstance(offer, Path) and golden is not None:  # else nothing has tried the library
        offer = offer_for(found.settings.card, offer, defaults.session.device)
    has_raced = defaults.kernels_required or defaults.on_processor
    choice = choose_kernels(open_with, offer, golden, found.settings.card, None if has_raced else by_the_clock)
    if defaults.kernels_required:
        require_fused(choice)
    return choice
