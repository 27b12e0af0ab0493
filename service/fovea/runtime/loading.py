"""Loads one version: whole files, agreeing specs, golden answers, a race of kernels against bodies, and a warm-up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ModelBroken, NotFound
from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, MAPS_FILE, MODEL_FILE, ModelCard, TensorSpec
from fovea.contract.operators import DOMAIN, VERSION
from fovea.runtime.files import file_sha256, require_inside, require_whole
from fovea.runtime.golden import Golden, read_golden
from fovea.runtime.kernel_choice import Choice, choose_kernels
from fovea.runtime.probe import ProbeLimits, probe_file
from fovea.runtime.session import ModelSession, SessionSettings, fused_operators, open_session, specs
from fovea.runtime.warm_up import made_up_row, measure_batch_cost, worthwhile_batch_rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadSettings:
    """How versions are loaded."""

    session: SessionSettings = field(default_factory=SessionSettings)
    max_batch_rows: int = 32
    """For models whose card does not say."""
    model_max_batch_rows: int | None = None
    """From model.toml: goes before the card."""
    probe: ProbeLimits = field(default_factory=ProbeLimits)
    """For files without a card."""


class LoadedVersion:
    """A version that gives right answers, ready to run: its facts, its first session, and how to open more.

    `kernels` is "fused" (the kernel library runs the attention blocks), "body" (their function bodies do, for
    `kernels_reason`) or "none" (the model has no such blocks).
    """

    def __init__(
        self, path: Path, card: ModelCard, version: int, choice: Choice, settings: SessionSettings, name: str
    ) -> None:
        self.name = name
        self.version = version
        self.path = path
        self.card = card
        self.sha256 = card.sha256[MODEL_FILE]
        self.kernels = choice.kernels
        self.kernels_reason = choice.reason
        self.session = choice.session
        self.max_batch_rows = choice.session.max_batch_rows
        self.provider = choice.session.providers[0]
        self.settings = replace(settings, kernel_library=settings.kernel_library if choice.fused else None)
        """What the session was opened with, in the end."""
        self.batch_cost_s: dict[int, float] = {}
        self.worthwhile_rows = self.max_batch_rows

    def warm_up(self, row: dict[str, Any], clock: Callable[[], float]) -> None:
        """Run each batch size and keep what it costs."""
        self.batch_cost_s = measure_batch_cost(self.session, row, clock)
        if self.batch_cost_s:
            self.worthwhile_rows = worthwhile_batch_rows(self.batch_cost_s)

    def open_instance(self) -> ModelSession:
        """Another session of the same model, for a second worker."""
        return _open(self.path / MODEL_FILE, self.card, self.card.outputs, self.max_batch_rows, self.settings)

    def open_maps(self) -> ModelSession:
        """A session of `maps.onnx`: the model's outputs, then the attention maps. NotFound where there are none.

        ModelBroken where its answers are not the golden ones, with kernels as without.
        """
        if MAPS_FILE not in self.card.sha256 or not self.card.maps:
            raise NotFound(f"{self.name} version {self.version} has no attention maps")
        outputs = (*self.card.outputs, *self.card.maps.values())

        def open_with(library: Path | None) -> ModelSession:
            settings = replace(self.settings, kernel_library=library)
            return _open(self.path / MAPS_FILE, self.card, outputs, self.max_batch_rows, settings)

        golden = _golden(self.path, self.card)
        return choose_kernels(open_with, self.settings.kernel_library, golden, self.card, clock=None).session

    def close(self) -> None:
        """Let go of the session, once or more often; workers that still run in it keep it alive until they are done."""
        if hasattr(self, "session"):
            del self.session


def load_version(folder: Path, name: str, version: int, settings: LoadSettings) -> LoadedVersion:
    """Load the version in `folder`, checked and warmed up. ModelBroken tells why it cannot be served."""
    try:
        require_inside(folder)
        return _load(folder, name, version, settings)
    except MemoryError as error:
        raise ModelBroken(f"{MODEL_FILE}: it needs more memory than there is") from error
    except OSError as error:
        raise ModelBroken(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}") from error


def _load(folder: Path, name: str, version: int, settings: LoadSettings) -> LoadedVersion:
    card = _card(folder, name, settings)
    session_settings = replace(settings.session, allow_tf32=card.allow_tf32)
    rows = settings.model_max_batch_rows or card.max_batch_rows or settings.max_batch_rows
    golden = _golden(folder, card)

    def open_with(library: Path | None) -> ModelSession:
        chosen = replace(session_settings, kernel_library=library)
        return _open(folder / MODEL_FILE, card, card.outputs, rows, chosen)

    choice = choose_kernels(open_with, settings.session.kernel_library, golden, card, clock=time.perf_counter)
    if choice.reason:
        logger.info("%s version %d: kernels=%s: %s", name, version, choice.kernels, choice.reason)
    loaded = LoadedVersion(folder, card, version, choice, session_settings, name)
    loaded.warm_up(_row(card, golden), time.perf_counter)
    return loaded


def _card(folder: Path, name: str, settings: LoadSettings) -> ModelCard:
    if not (folder / CARD_FILE).exists():
        return _plain_card(folder / MODEL_FILE, name, settings)
    card = ModelCard.read(folder / CARD_FILE)
    require_whole(folder, card)
    return card


def _plain_card(model: Path, name: str, settings: LoadSettings) -> ModelCard:
    """Facts about a file without a card, as far as they can be seen; it is tried in another process first."""
    batched = probe_file(model, settings.probe)
    inputs, outputs = specs(open_session(model, SessionSettings()))
    return ModelCard(
        name=name,
        attention=AttentionType.NONE,
        inputs=inputs,
        outputs=outputs,
        batched=batched,
        parameters=0,
        opset=0,
        operator_version=VERSION if _mentions(model, DOMAIN) else None,
        sha256={MODEL_FILE: file_sha256(model)},
    )


def _mentions(file: Path, text: str) -> bool:
    with file.open("rb") as raw, mmap(raw.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(text.encode()) >= 0


def _golden(folder: Path, card: ModelCard) -> Golden | None:
    return read_golden(folder / GOLDEN_FILE) if GOLDEN_FILE in card.sha256 else None


def _row(card: ModelCard, golden: Golden | None) -> dict[str, Any]:
    if golden is None:
        return made_up_row(card.inputs)
    return {name: array[:1] if card.batched else array for name, array in golden.inputs.items()}


def _open(
    model: Path, card: ModelCard, outputs: tuple[TensorSpec, ...], max_batch_rows: int, settings: SessionSettings
) -> ModelSession:
    session = open_session(model, settings)
    found_inputs, found_outputs = specs(session)
    _require_agreement(model, "inputs", card.inputs, found_inputs)
    _require_agreement(model, "outputs", outputs, found_outputs)
    fused = fused_operators(session) if settings.kernel_library else frozenset[str]()
    return ModelSession(session, card.inputs, outputs, card.batched, max_batch_rows, settings.device, fused)


def _require_agreement(model: Path, what: str, stated: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]) -> None:
    """The card's tensors must be the file's, in the same order."""
    if [spec.name for spec in stated] != [spec.name for spec in found]:
        names = [[spec.name for spec in side] for side in (stated, found)]
        raise ModelBroken(f"{model.name}: the card's {what} are {names[0]}, the file's {names[1]}")
    for mine, its in zip(stated, found, strict=True):
        if not _agree(mine, its):
            raise ModelBroken(
                f"{model.name}: {mine.name} is {mine.datatype}{list(mine.shape)} in the card, "
                f"{its.datatype}{list(its.shape)} in the file"
            )


def _agree(mine: TensorSpec, its: TensorSpec) -> bool:
    """Same datatype and rank; a size the file leaves open may be known to the card."""
    if mine.datatype != its.datatype or len(mine.shape) != len(its.shape):
        return False
    return all(found in (-1, stated) for stated, found in zip(mine.shape, its.shape, strict=True))
