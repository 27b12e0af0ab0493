"""What a version is: its card, or what can be seen of a file without one, and what its model's folder says besides.

All of it is tried in another process, where it shows how rows and sequences may share batches.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from fovea.contract.errors import ModelBroken
from fovea.contract.lengths import LengthChanges, LengthSpec, changed, own_name
from fovea.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard
from fovea.contract.operators import VERSION
from fovea.runtime.attention_seen import Seen
from fovea.runtime.batching_choice import Wanted, Wish, choose_batching, choose_padding, fixed_first_axis, left_out
from fovea.runtime.cost import BatchCost
from fovea.runtime.declared import with_stated
from fovea.runtime.description import describe
from fovea.runtime.device import CPU
from fovea.runtime.files import file_sha256, model_path, require_whole
from fovea.runtime.kernel_library import Obstacle
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.model_toml import CHOICES_FILE
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.probe import TrialSubject, probe_version
from fovea.runtime.trial_question import Tried


@dataclass(frozen=True)
class FoundVersion:
    """A version's facts, under the name it is served by."""

    card: ModelCard
    batching: str = ""
    """Why its requests do not share batches as its file would let them, or do against what was seen."""
    obstacle: Obstacle | None = None
    """Why kernels are not to be opened for it, as its trial has shown."""
    cost: BatchCost | None = None
    """What batches cost, where its trial has measured that."""
    seen: Seen = field(default_factory=Seen)
    """The attention in its file, where nobody says that it has any."""
    unexpected: bool = False
    """Whether nobody has asked to have its requests batched so."""


def find_version(folder: Path, name: str, settings: LoadSettings) -> FoundVersion:
    """The facts of the version in `folder`. ModelBroken tells why it cannot be served."""
    if (folder / CARD_FILE).exists():
        if settings.file != MODEL_FILE:
            raise ModelBroken(f"default_model_filename: the version has a card, so it is {MODEL_FILE}")
        card = ModelCard.read(folder / CARD_FILE).model_copy(update={"name": name})
        require_whole(folder, card)
        return _tried(folder, *_as_wanted(card, settings, Wanted("said", "its card")), settings)
    session = replace(settings.session, kernel_library=None, device=CPU)
    more = settings.wanted or settings.stated or settings.model_lengths
    wish: Wish = "none" if more else "unsaid"
    files = (settings.file, settings.named_inputs)
    subject = TrialSubject(folder, settings.rows_of(None), None, wish, *files, measure=settings.on_processor)
    tried = probe_version(subject, session, settings.probe)
    card = _plain_card(model_path(folder, settings.file), name, session, settings.named_inputs, tried.seen)
    if not more:
        fixed = fixed_first_axis(card) or left_out(card)
        return _found(card, Wanted("none", fixed) if fixed else Wanted("unsaid"), tried, settings)
    nobody = Wanted("said" if settings.model_lengths else "unsaid")
    card, wanted = _as_wanted(card, settings, nobody)  # a second trial, which knows sizes and lengths
    return _tried(folder, card, wanted, replace(settings, session=session))


def _plain_card(model: Path, name: str, session: SessionSettings, named: Collection[str], seen: Seen) -> ModelCard:
    """Facts about a file without a card, as far as they can be seen."""
    found = describe(open_session(model, session), named)
    inputs, outputs = found.inputs, found.outputs
    return ModelCard(
        name=name,
        attention=seen.attention,
        layers=seen.attention_layers,
        inputs=inputs,
        outputs=outputs,
        batched=all(spec.shape[:1] == (-1,) for spec in (*inputs, *outputs)),
        optional_inputs=found.optional,
        output_labels=dict(found.labels),
        parameters=0,
        opset=0,
        operator_version=VERSION if seen.layers else None,
        sha256={MODEL_FILE: file_sha256(model)},
    )


def _as_wanted(card: ModelCard, settings: LoadSettings, nobody: Wanted) -> tuple[ModelCard, Wanted]:
    """The card with what the folder says, and who wants batches: `nobody` where the owner is silent."""
    wanted, fixed = settings.wanted or nobody, fixed_first_axis(card)
    if wanted.wish == "asked" and fixed:
        wanted = Wanted("none", f"{wanted.source} asks for it, but {fixed}")
    elif wanted is nobody and (not card.batched or left_out(card)):
        wanted = Wanted("none", fixed or left_out(card) or f"{wanted.source} says so")
    card = with_stated(card.model_copy(update={"batched": wanted.wish != "none"}), settings.stated)
    return _with_lengths(card, settings), wanted


def _with_lengths(card: ModelCard, settings: LoadSettings) -> ModelCard:
    """What model.toml says of lengths goes before the card; ModelBroken where it does not fit the model."""
    if not settings.model_lengths:
        return card
    try:
        lengths = changed(card.lengths, settings.model_lengths)
    except ValueError as error:
        raise ModelBroken(f"{CHOICES_FILE}: {error}") from error
    if (unfit := card.lengths_problem(lengths)) is not None:
        raise ModelBroken(f"{CHOICES_FILE}: {unfit}")
    return card.model_copy(update={"lengths": lengths})


def _tried(folder: Path, card: ModelCard, wanted: Wanted, settings: LoadSettings) -> FoundVersion:
    subject = TrialSubject(
        folder,
        settings.rows_of(card),
        card,
        wanted.wish,
        settings.file,
        race=settings.on_processor and not settings.kernels_required,
        measure=settings.on_processor,
    )
    return _found(card, wanted, probe_version(subject, settings.session, settings.probe), settings)


def _found(card: ModelCard, wanted: Wanted, tried: Tried, settings: LoadSettings) -> FoundVersion:
    choice = choose_batching(wanted, tried.rows)
    said = {own_name(name, card.lengths): changes for name, changes in settings.model_lengths.items()}
    chosen = {name: _as_tried(name, length, tried, said.get(name)) for name, length in card.lengths.items()}
    reasons = [choice.reason, *(reason for _, reason in chosen.values())] if choice.batched else [choice.reason]
    lengths = {name: length for name, (length, _) in chosen.items()}
    card = card.model_copy(update={"batched": choice.batched, "lengths": lengths})
    told = "; ".join(filter(None, dict.fromkeys(reasons)))
    return FoundVersion(card, told, tried.obstacle, tried.cost, tried.seen, unexpected=wanted.wish != "none")


def _as_tried(name: str, length: LengthSpec, tried: Tried, said: LengthChanges | None) -> tuple[LengthSpec, str]:
    """A length as it will be served, and the reason where it is not padded, or is although that changes answers."""
    asked = said is not None and "padded" in said.model_fields_set
    padded, reason = choose_padding(name, length, tried.padding_harm.get(name, ""), asked=asked)
    return length.model_copy(update={"padded": padded, "longest": length.longest or tried.longest.get(name)}), reason
