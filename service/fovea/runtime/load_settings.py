"""How versions are loaded: as the server is told, and as a model's folder says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fovea.contract.lengths import LengthChanges
from fovea.contract.model_card import MODEL_FILE, ModelCard
from fovea.runtime.batching_choice import Wanted
from fovea.runtime.declared import Stated
from fovea.runtime.kernel_library import NOT_FOUND, Obstacle
from fovea.runtime.model_toml import CHOICES_FILE
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.probe import ProbeLimits
from fovea.runtime.repository import ModelFolder
from fovea.runtime.session_choices import SessionChoices


@dataclass(frozen=True)
class LoadSettings:
    """What decides how a version is loaded, whatever version it is."""

    session: SessionSettings = field(default_factory=SessionSettings)
    max_batch_rows: int = 32
    """For models whose card does not say."""
    model_batched: bool | None = None
    """From model.toml: goes before the card, and before what is seen of the model."""
    model_max_batch_rows: int | None = None
    """From model.toml: goes before the card."""
    model_lengths: Mapping[str, LengthChanges] = field(default_factory=dict)
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

    @property
    def on_processor(self) -> bool:
        """Whether a trial, which has no GPU, runs a version as it will be served: races and costs are measured there,
        where the version is alone in its process."""
        return self.session.device.kind == "cpu"

    def for_model(self, folder: ModelFolder) -> LoadSettings:
        """With what the model's folder says."""
        choices = folder.choices
        return replace(
            self,
            session=self._session(choices.session),
            model_batched=choices.batched,
            model_max_batch_rows=choices.max_batch_rows,
            model_lengths=choices.named_lengths,
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

    @property
    def wanted(self) -> Wanted | None:
        """What the model's owner says of batches; None where that is nothing."""
        if self.model_batched is not None:
            said = f"{CHOICES_FILE}: batched = {str(self.model_batched).lower()}"
            return Wanted("asked" if self.model_batched else "none", said)
        if self.stated is not None and self.stated.batched is not None:
            said = "max_batch_size" if self.stated.batched else "no max_batch_size"
            return Wanted("asked" if self.stated.batched else "none", f"{self.stated.source}: {said}")
        if self.model_max_batch_rows is not None:
            return Wanted("asked", f"{CHOICES_FILE}: max_batch_rows")
        return None

    @property
    def file(self) -> str:
        """The model's, in its version's folder."""
        return self.stated.file if self.stated else MODEL_FILE

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """Those that another server's configuration lists."""
        return tuple(spec.name for spec in self.stated.inputs) if self.stated else ()

    def why_one_row(self, card: ModelCard) -> str:
        """Who lets a batch have one row only; nothing where it may have more."""
        if self.rows_of(card) > 1:
            return ""
        own = self.stated.source if self.stated else CHOICES_FILE
        others = "its card" if card.max_batch_rows else "the server's max_batch_rows"
        return f"not batched: by {own if self.model_max_batch_rows else others} a batch has one row"

    def rows_of(self, card: ModelCard | None) -> int:
        """Most rows in a batch of this model."""
        return self.model_max_batch_rows or (card.max_batch_rows if card else None) or self.max_batch_rows
