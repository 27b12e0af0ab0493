"""Loads one version: whole files, agreeing specs, golden answers, a race of kernels against bodies, and a warm-up."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from fovea.contract.errors import FoveaError, ModelBroken
from fovea.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard
from fovea.contract.operators import VERSION
from fovea.contract.sequence import SequenceSpec
from fovea.runtime.device import CPU
from fovea.runtime.files import file_sha256, require_inside, require_whole
from fovea.runtime.golden import Golden, golden_of
from fovea.runtime.kernel_choice import Choice, Open, choose_kernels, require_fused
from fovea.runtime.kernel_library import NOT_FOUND, Cause, Obstacle
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.opening import open_model
from fovea.runtime.ort_session import SessionSettings, open_session, specs
from fovea.runtime.padding_check import require_padding_harmless
from fovea.runtime.probe import ProbeLimits, Tried, probe_version
from fovea.runtime.reasons import tellable
from fovea.runtime.repository import CHOICES_FILE, ModelFolder
from fovea.runtime.session import ModelSession
from fovea.runtime.session_choices import SessionChoices
from fovea.runtime.signature import Signature
from fovea.runtime.stated import Stated, with_stated
from fovea.runtime.stopwatch import ProcessorTime, by_the_clock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadSettings:
    """How versions are loaded."""

    session: SessionSettings = field(default_factory=SessionSettings)
    max_batch_rows: int = 32
    """For models whose card does not say."""
    model_max_batch_rows: int | None = None
    """From model.toml: goes before the card."""
    model_sequence: SequenceSpec | None = None
    """From model.toml: goes before the card."""
    stated: Stated | None = None
    """From another server's configuration of the model."""
    custom_op_libraries: tuple[Path, ...] = ()
    """Those that a model.toml may choose from."""
    probe: ProbeLimits = field(default_factory=ProbeLimits)
    """For the process that tries a version before it is opened here."""
    no_library: Obstacle = NOT_FOUND
    """Why `session` has no kernel library, where it has none."""
    kernels_required: bool = False
    """Kernels do not race, and a version whose bodies would run is not served."""

    def for_model(self, folder: ModelFolder) -> LoadSettings:
        """With what the model's folder says."""
        choices = folder.choices
        return replace(
            self,
            session=self._session(choices.session),
            model_max_batch_rows=choices.max_batch_rows,
            model_sequence=choices.sequence,
            stated=folder.stated,
        )

    def _session(self, choices: SessionChoices) -> SessionSettings:
        return replace(
            self.session,
            intra_op_threads=choices.threads or self.session.intra_op_threads,
            custom_op_libraries=choices.libraries(self.custom_op_libraries),
            arena=choices.arena,
            shrink_arena=choices.shrink_arena,
        )


def load_chosen(folder: ModelFolder, version: int, settings: LoadSettings) -> LoadedVersion:
    """Load a version as its model's folder says. ModelBroken where that, or the version, cannot be served."""
    if folder.problem:
        raise ModelBroken(folder.problem)
    return load_version(folder.version_path(version), folder.name, version, settings.for_model(folder))


def load_version(folder: Path, name: str, version: int, settings: LoadSettings) -> LoadedVersion:
    """Load the version in `folder`, tried, checked and warmed up. ModelBroken tells why it cannot be served."""
    try:
        require_inside(folder)
        return _load(folder, name, version, settings)
    except MemoryError as error:
        raise ModelBroken(f"{MODEL_FILE}: it needs more memory than there is") from error
    except OSError as error:
        raise ModelBroken(
            tellable(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}")
        ) from error
    except FoveaError as error:
        raise type(error)(tellable(str(error))) from error


def _load(folder: Path, name: str, version: int, settings: LoadSettings) -> LoadedVersion:
    found, tried = _card(folder, name, settings)
    card = with_stated(found, settings.stated)
    if tried.seen.unnamed:
        logger.warning("%s version %d: %s", name, version, tried.seen.warning(card.attention))
    session_settings = replace(settings.session, allow_tf32=card.allow_tf32)
    signature = Signature.of(card, card.outputs, _max_batch_rows(card, settings))
    golden = golden_of(folder, card)

    def open_with(library: Path | None) -> ModelSession:
        return open_model(folder / MODEL_FILE, signature, replace(session_settings, kernel_library=library))

    choice = _choose(open_with, settings, tried, golden, card)
    if choice.reason:
        logger.info("%s version %d: kernels=%s: %s", name, version, choice.kernels, choice.reason)
    if card.sequence is not None:
        require_padding_harmless(choice.session, card.sequence, golden)
    loaded = LoadedVersion(folder, card, version, choice, session_settings)
    loaded.warm_up(golden, time.perf_counter)
    if loaded.unmeasured_operators:
        told = (name, version, ", ".join(sorted(loaded.unmeasured_operators)), settings.session.device)
        logger.info("%s version %d: the time of %s is not measured on %s: a profile has launch times only", *told)
    return loaded


def _choose(open_with: Open, settings: LoadSettings, tried: Tried, golden: Golden | None, card: ModelCard) -> Choice:
    offer = settings.session.kernel_library or settings.no_library
    if tried.kernel_trouble is not None:  # what ended the child would end this process: it is not even opened here
        offer = Obstacle(Cause.CRASHED, f"with kernels: {tried.kernel_trouble}")
    required = settings.kernels_required
    stopwatch = ProcessorTime() if settings.session.device.kind == "cpu" else by_the_clock
    choice = choose_kernels(open_with, offer, golden, card, stopwatch=None if required else stopwatch)
    if required:
        require_fused(choice)
    return choice


def _max_batch_rows(card: ModelCard | None, settings: LoadSettings) -> int:
    stated = card.max_batch_rows if card is not None else None
    return settings.model_max_batch_rows or stated or settings.max_batch_rows


def _card(folder: Path, name: str, settings: LoadSettings) -> tuple[ModelCard, Tried]:
    """The version's facts under the name it is served by, and what came of trying it in another process."""
    if not (folder / CARD_FILE).exists():
        return _plain_card(folder, name, settings)
    card = _with_sequence(ModelCard.read(folder / CARD_FILE), settings).model_copy(update={"name": name})
    require_whole(folder, card)
    return card, probe_version(
        folder, _max_batch_rows(card, settings), card.to_json(), settings.session, settings.probe
    )


def _plain_card(folder: Path, name: str, settings: LoadSettings) -> tuple[ModelCard, Tried]:
    """Facts about a file without a card, as far as they can be seen."""
    model = folder / MODEL_FILE
    session = replace(settings.session, kernel_library=None, device=CPU)
    tried = probe_version(folder, _max_batch_rows(None, settings), None, session, settings.probe)
    inputs, outputs = specs(open_session(model, session))
    card = ModelCard(
        name=name,
        attention=tried.seen.attention,
        layers=tried.seen.attention_layers,
        inputs=inputs,
        outputs=outputs,
        batched=tried.batches,
        parameters=0,
        opset=0,
        operator_version=VERSION if tried.seen.layers else None,
        sha256={MODEL_FILE: file_sha256(model)},
    )
    if settings.model_sequence is None:
        return card, tried
    card = _with_sequence(card, settings)  # a second trial, which runs every length
    return card, probe_version(folder, _max_batch_rows(card, settings), card.to_json(), session, settings.probe)


def _with_sequence(card: ModelCard, settings: LoadSettings) -> ModelCard:
    """What model.toml says of sequences goes before the card; ModelBroken where it does not fit the model."""
    if settings.model_sequence is None:
        return card
    if (problem := card.sequence_problem(settings.model_sequence)) is not None:
        raise ModelBroken(f"{CHOICES_FILE}: sequence: {problem}")
    return card.model_copy(update={"sequence": settings.model_sequence})
