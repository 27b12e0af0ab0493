"""The trial of a version with a card: everything that the server will run of it, from its bodies and with kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from fovea.contract.attention import AttentionType
from fovea.contract.errors import FoveaError
from fovea.contract.model_card import MAPS_FILE, MODEL_FILE, ModelCard
from fovea.runtime.arrays import Arrays
from fovea.runtime.attention_seen import attention_seen
from fovea.runtime.batching_choice import Wish
from fovea.runtime.device import CPU
from fovea.runtime.files import model_path
from fovea.runtime.golden import Golden, disagreements, golden_of, run_golden, unfit_input
from fovea.runtime.kernel_choice import offer_for
from fovea.runtime.kernel_library import Obstacle
from fovea.runtime.opening import open_model
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.padding_check import longest_lengths, padding_harm
from fovea.runtime.race import race
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.sample_rows import WarmUpRows
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.stopwatch import ProcessorTime
from fovea.runtime.trial_question import UNTRIED, Trial, Tried
from fovea.runtime.trial_steps import (
    NOTHING_RAN,
    doubts,
    require_memory,
    run_sizes,
    run_without,
    seen_apart,
    session_settings,
    shares,
)
from fovea.runtime.vocabularies import with_vocabularies
from fovea.runtime.warm_up import measure_cost

_UNLABELLED = (AttentionType.NONE, AttentionType.UNKNOWN)
"""What a card says where nobody has said what attention the model has."""


class VersionTrial:
    """First the bodies, then the kernels. What is merely wrong is the server's to tell, in its own words."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self._folder = trial, Path(trial.folder)
        self._settings = session_settings(trial)
        self._stopwatch = ProcessorTime()
        self._found = Tried(UNTRIED)
        self._together = True
        """Whether requests will share batches, if the card says that they may."""
        self._bodies: ModelSession | None = None
        """The session that runs bodies, kept for the race."""
        self._bodies_are_right = False

    @cached_property
    def _card(self) -> ModelCard:
        assert self._trial.card is not None
        return ModelCard.model_validate_json(self._trial.card)

    @cached_property
    def _golden(self) -> Golden | None:
        return golden_of(self._folder, self._card)

    @property
    def has_more(self) -> bool:
        """Whether there is something to try with kernels."""
        trial = self._trial
        if trial.library is None or trial.card is None:
            return False
        return self._card.operator_version is not None and self._golden is not None

    def bodies(self) -> Tried:
        """What was seen of the version."""
        with _only_memory_matters():
            self._run_maps(self._settings)
        with _only_memory_matters():
            self._run_model()
            if not self.has_more:
                self._measure(self._bodies)
        if self._card.attention in _UNLABELLED:
            seen = attention_seen(model_path(self._folder, self._trial.file))
            self._found = replace(self._found, seen=seen)
        return self._found

    def kernels(self) -> Tried:
        """The same, with what is to be said of the kernels, where the library has some for it."""
        assert self._trial.library is not None
        library = Path(self._trial.library)
        if isinstance(offer_for(self._card, library, CPU), Obstacle):
            with _only_memory_matters():
                self._measure(self._bodies)
        else:
            self._run_kernels(replace(self._settings, kernel_library=library))
        return self._found

    def _run_kernels(self, settings: SessionSettings) -> None:
        with _only_memory_matters():
            fused = self._open(MODEL_FILE, settings)
            are_right = self._run(self._as_served(fused)) and self._bodies_are_right
            if self._trial.race and fused.fused_operators and are_right:
                self._found = replace(self._found, obstacle=self._race(fused))
            bodies_run = self._found.obstacle or not fused.fused_operators
            self._measure(self._bodies if bodies_run else self._as_served(fused))
            del fused
        self._bodies = None  # room for the next
        with _only_memory_matters():
            self._run_maps(settings)

    def _open(self, name: str, settings: SessionSettings) -> ModelSession:
        """A file of the version; its largest batch has as many rows as the server may make."""
        is_model = name == MODEL_FILE
        outputs = self._card.outputs if is_model else (*self._card.outputs, *self._card.maps.values())
        path = model_path(self._folder, self._trial.file) if is_model else self._folder / name
        return open_model(path, Signature.of(self._card, outputs, self._trial.rows), settings)

    def _run_maps(self, settings: SessionSettings) -> None:
        if MAPS_FILE in self._card.sha256:
            self._run(self._open(MAPS_FILE, settings))

    def _run(self, session: ModelSession) -> bool:
        """Run it in all the ways that the server will; whether it gives the golden answers, where there are any."""
        golden, longest = self._golden, WarmUpRows(self._card, self._golden).largest
        ran, are_right = NOTHING_RAN, False
        if golden is not None:
            answers: list[Arrays] = []
            took = self._stopwatch(lambda: answers.append(run_golden(session, golden)))
            are_right = not disagreements(answers[0], golden, self._card.tolerances)
            if session.batched and not self._card.lengths and golden.rows <= session.max_batch_rows:
                ran = {golden.rows: min(took.processor_s, took.elapsed_s)}
        run_sizes(session, longest, self._stopwatch, ran)
        run_without(session, longest, self._card.optional_inputs)
        return are_right

    def _run_model(self) -> None:
        """Run the model, and see how rows of it may share batches, where that is wanted."""
        wish: Wish = self._trial.wish if self._card.batched else "none"
        session = self._open(MODEL_FILE, replace(self._settings, record_nodes=wish == "unsaid"))
        if wish != "none":
            self._found = self._seen(session)
            self._together = shares(wish, self._found.rows)
        self._bodies = self._as_served(session)
        self._bodies_are_right = self._run(self._bodies)

    def _as_served(self, session: ModelSession) -> ModelSession:
        return session if self._together else session.unbatched()

    def _measure(self, session: ModelSession | None) -> None:
        """What batches of it cost, the way that it will be served."""
        if session is None or not self._trial.measure:
            return
        card = self._card if self._together else self._card.model_copy(update={"batched": False})
        cost = measure_cost(session, WarmUpRows(card, self._golden), self._stopwatch, tuple(card.lengths))
        self._found = replace(self._found, cost=cost if cost.curves else None)

    def _seen(self, session: ModelSession) -> Tried:
        trial, card, golden = self._trial, self._card, self._golden
        whole, known = session.unbatched(), golden if golden and not unfit_input(session, golden) else None
        samples = with_vocabularies(whole, RowSamples(card.inputs, card.lengths, known))
        rows = doubts(session.opened, trial.wish, card) or seen_apart(whole, samples, trial)
        if not card.lengths or rows.seen == "untried":
            return Tried(rows)
        harm = padding_harm(session, samples, card.tolerances) if shares(trial.wish, rows) else {}
        return Tried(rows, harm, longest_lengths(whole, samples))

    def _race(self, fused: ModelSession) -> Obstacle | None:
        """Where either is wrong there is none: the server will find that out by itself."""
        assert self._golden is not None
        assert self._bodies is not None
        return race(self._as_served(fused), self._bodies, self._golden, self._stopwatch)


@contextmanager
def _only_memory_matters() -> Iterator[None]:
    try:
        yield
    except FoveaError as error:
        require_memory(error)
