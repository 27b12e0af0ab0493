"""Tries a version in another process before this one opens it, within what it may use there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fovea.contract.model_card import MODEL_FILE, ModelCard
from fovea.runtime.batching_choice import Wish
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.stamps import bytes_in
from fovea.runtime.trial_question import Trial, Tried
from fovea.runtime.trials import run_trial

_BYTES_PER_EXTRA_SECOND = 50_000_000
_MEMORY_PER_FILE_BYTE = 3
"""ONNX Runtime reads a file, parses it and packs its weights: a large model may use more than a small one."""


@dataclass(frozen=True)
class ProbeLimits:
    """What a version may use while it is tried, beside what its files' size adds."""

    seconds: int = 20
    memory_bytes: int = 6 << 30

    def for_files_of(self, size_bytes: int) -> ProbeLimits:
        """More of both for files of this size."""
        seconds = self.seconds + size_bytes // _BYTES_PER_EXTRA_SECOND
        return ProbeLimits(seconds, self.memory_bytes + _MEMORY_PER_FILE_BYTE * size_bytes)


@dataclass(frozen=True)
class TrialSubject:
    """A version to try, and what is known of it before."""

    folder: Path
    rows: int
    """Rows in the largest batch that will be made."""
    card: ModelCard | None = None
    """None: what can be seen of the file is all that is known of it."""
    wish: Wish = "none"
    """Who has asked for batches."""
    file: str = MODEL_FILE
    """Name of the model's file in the folder."""
    named: tuple[str, ...] = ()
    """Inputs that its configuration names."""
    race: bool = False
    """Whether kernels have to be as quick as the bodies, on this machine's processor."""
    measure: bool = False
    """Whether to measure what batches cost there."""


def probe_version(subject: TrialSubject, session: SessionSettings, limits: ProbeLimits) -> Tried:
    """Try a version in a child of this process, within what `limits` allow for its files.

    ModelBroken tells why it cannot be served.
    """
    most = limits.for_files_of(bytes_in(subject.folder))
    trial = Trial(
        folder=str(subject.folder),
        file=subject.file,
        named=subject.named,
        rows=subject.rows,
        card=None if subject.card is None else subject.card.to_json(),
        wish=subject.wish,
        library=None if session.kernel_library is None else str(session.kernel_library),
        race=subject.race,
        measure=subject.measure,
        threads=session.intra_op_threads,
        custom_op_libraries=tuple(map(str, session.custom_op_libraries)),
        arena=session.arena,
        seconds=most.seconds,
        memory_bytes=most.memory_bytes,
    )
    return run_trial(trial)
