"""Tries versions in a process of their own before this one opens them: one child, for one version after another.

A file may crash ONNX Runtime, loop or eat memory, and so may a kernel. Here that ends the child, and the server gets a
reason. The child, `python -m fovea.runtime.trial`, takes a `Trial` per line on stdin and answers with a line of JSON
for the bodies and, where there are kernels to try, a second one for those: what happens after the first line is the
kernels' doing, and costs the version nothing but its kernels.
"""

from __future__ import annotations

import atexit
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE, ModelCard
from fovea.runtime.attention_seen import Seen
from fovea.runtime.batching_choice import Wish
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.row_verdicts import RowVerdict
from fovea.runtime.stamps import stamp_of
from fovea.runtime.trial_process import Ended, TrialProcess

_BYTES_PER_EXTRA_SECOND = 50_000_000
_MEMORY_PER_FILE_BYTE = 3
"""ONNX Runtime reads a file, parses it and packs its weights: a large model may use more than a small one."""
_KERNEL_PATIENCE_S = 10.0
_KERNEL_PATIENCE = 10
"""Kernels that take this many times as long as the bodies hang; a version's whole time is too long to wait for each."""


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
class Trial:
    """What the child is to try: the version in `folder`, as `card` (JSON) describes it, or as it is without one."""

    folder: str
    file: str
    """The model's, in the folder."""
    named: tuple[str, ...]
    """Inputs that its configuration names."""
    rows: int
    """Largest batch."""
    card: str | None
    wish: Wish
    """Who wants batches, where there is a card or nothing else is known."""
    library: str | None
    """Kernels that the version will be tried with, after its bodies."""
    custom_op_libraries: tuple[str, ...]
    arena: bool
    seconds: int
    memory_bytes: int


@dataclass(frozen=True)
class Tried:
    """What came of the trial of a version that can be served."""

    rows: RowVerdict
    """What was seen of its rows, where batches are wanted."""
    padding_harm: Mapping[str, str] = field(default_factory=dict)
    """Length -> how padding it changes answers, for those where it does."""
    longest: Mapping[str, int] = field(default_factory=dict)
    """Length -> the longest that it takes, for those where that is the last bucket."""
    seen: Seen = field(default_factory=Seen)
    """Of the attention in its file, where nobody says that it has any."""
    kernel_trouble: str | None = None
    """Why the library must not be opened for it: kernels ended or held up the process, or took too much memory."""


class Prober:
    """The child and how to talk to it. Threads wait for one another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: TrialProcess | None = None

    def try_version(self, trial: Trial) -> Tried:
        """Try a version. ModelBroken tells why it cannot be served."""
        with self._lock:
            try:
                return self._try(trial)
            except BaseException:
                self._end_child()  # what a bad file leaves behind must not count against the next one
                raise

    def close(self) -> None:
        """End the child, if there is one; the next trial starts another."""
        with self._lock:
            self._end_child()

    def _try(self, trial: Trial) -> Tried:
        start_s = time.monotonic()
        child, verdict = self._ask(trial)
        if verdict["problem"] is not None:
            raise ModelBroken(verdict["problem"])
        facts = verdict["tried"]
        tried = Tried(**{**facts, "rows": RowVerdict(**facts["rows"]), "seen": Seen.of_json(facts["seen"])})
        if not verdict["kernels_next"]:
            return tried
        patience_s = max(_KERNEL_PATIENCE_S, _KERNEL_PATIENCE * (time.monotonic() - start_s))
        trouble = _kernel_trouble(child, min(trial.seconds, patience_s))
        if trouble is not None:
            self._end_child()
        return replace(tried, kernel_trouble=trouble)

    def _ask(self, trial: Trial) -> tuple[TrialProcess, dict[str, Any]]:
        """The child, and what it says of the bodies."""
        question = json.dumps(asdict(trial)).encode() + b"\n"
        used = self._child
        try:
            child = self._running_child()
            try:
                return child, child.ask(question, trial.seconds)
            except Ended:
                if child is not used:
                    raise
            child = self._running_child()  # gone for want of work, or by what an earlier version left behind in it
            return child, child.ask(question, trial.seconds)
        except Ended as end:
            raise ModelBroken(f"{MODEL_FILE}: the process that tried it ended with status {end.status}") from end
        except TimeoutError as error:
            raise ModelBroken(
                f"{MODEL_FILE}: not loaded and run once within {trial.seconds} s (trial_s sets how long)"
            ) from error

    def _running_child(self) -> TrialProcess:
        if self._child is None or self._child.gone:
            self._end_child()
            self._child = TrialProcess()
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


def _kernel_trouble(child: TrialProcess, patience_s: float) -> str | None:
    """What the child says of the kernels, or what became of it."""
    try:
        problem = child.answer(patience_s)["problem"]
    except Ended as end:
        return f"the process that tried them ended with status {end.status}"
    except TimeoutError:
        return f"not run once within {patience_s:.0f} s"
    return None if problem is None else str(problem)


_SHARED = Prober()
atexit.register(_SHARED.close)


@dataclass(frozen=True)
class TrialSubject:
    """What is to be tried."""

    folder: Path
    rows: int
    """Largest batch."""
    card: ModelCard | None = None
    """None: what can be seen of the file is all that is known of it."""
    wish: Wish = "none"
    """Who wants batches."""
    file: str = MODEL_FILE
    """The model's, in the folder."""
    named: tuple[str, ...] = ()
    """Inputs that its configuration names."""


def probe_version(subject: TrialSubject, session: SessionSettings, limits: ProbeLimits) -> Tried:
    """Try a version in this process's child, within what `limits` allow for its files.

    ModelBroken tells why it cannot be served.
    """
    most = limits.for_files_of(_bytes_in(subject.folder))
    kernels = None if session.kernel_library is None else str(session.kernel_library)
    operators = tuple(map(str, session.custom_op_libraries))
    card = None if subject.card is None else subject.card.to_json()
    asked = (str(subject.folder), subject.file, subject.named, subject.rows, card, subject.wish)
    return _SHARED.try_version(Trial(*asked, kernels, operators, session.arena, most.seconds, most.memory_bytes))


def _bytes_in(folder: Path) -> int:
    """Of all files: weights beside the model are as much to load as those in it."""
    return sum(size for _, _, size, _ in stamp_of(folder))
