"""How versions are loaded, where neither a model's folder nor a card says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fovea.runtime.kernel_library import NOT_FOUND, Obstacle
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.probe import ProbeLimits


@dataclass(frozen=True)
class LoadSettings:
    """How one server loads versions, where a model says nothing else."""

    session: SessionSettings = field(default_factory=SessionSettings)
    max_batch_rows: int = 32
    """For models whose card does not say."""
    custom_op_libraries: tuple[Path, ...] = ()
    """Those that a model may choose from."""
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
