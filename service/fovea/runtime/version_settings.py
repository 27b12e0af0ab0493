"""What a version's settings are, and whose word decides: the model folder's before the card's, it before the server's.

Pure functions: nothing is read, run or logged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fovea.contract.errors import ModelBroken
from fovea.contract.lengths import LengthChanges, changed, own_name
from fovea.contract.model_card import ModelCard
from fovea.runtime.batching_choice import Wanted, fixed_first_axis, left_out
from fovea.runtime.declared import as_declared
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.model_toml import CHOICES_FILE
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.repository import Configured

BY_CARD = Wanted("said", "its card")
"""What is wanted of a version's batches where its model's folder is silent."""


@dataclass(frozen=True)
class VersionSettings:
    """How one version is loaded, as far as that is known before it is tried."""

    card: ModelCard
    """With what the folder says of the model."""
    wanted: Wanted
    """What is wanted of batches, and who wants it."""
    session: SessionSettings
    max_batch_rows: int
    """Most rows in a batch."""
    why_one_row: str
    """Who lets a batch have one row only; nothing where it may have more."""
    length_changes: Mapping[str, LengthChanges]
    """What the folder says of lengths, by their names in the card."""


def resolve(card: ModelCard, said: Configured, defaults: LoadSettings, nobody: Wanted = BY_CARD) -> VersionSettings:
    """`said`: by the model's folder; `nobody`: what is wanted of batches where it says nothing of them.

    ModelBroken where the folder says what does not fit the card.
    """
    wanted = _wanted(card, said, nobody)
    rows = most_rows(card, said, defaults)
    chosen = {"batched": wanted.wish != "none", "attention": said.choices.attention or card.attention}
    served = _with_lengths(as_declared(card.model_copy(update=chosen), said.declared), said)
    return VersionSettings(
        card=served,
        wanted=wanted,
        session=replace(session_settings(said, defaults), allow_tf32=card.allow_tf32),
        max_batch_rows=rows,
        why_one_row=_why_one_row(card, said) if rows == 1 else "",
        length_changes={own_name(name, card.lengths): one for name, one in said.choices.named_lengths.items()},
    )


def session_settings(said: Configured, defaults: LoadSettings) -> SessionSettings:
    """How sessions of the model are opened. ModelBroken where it chooses a library that the server does not list."""
    chosen = said.choices.session
    return replace(
        defaults.session,
        intra_op_threads=chosen.threads or defaults.session.intra_op_threads,
        custom_op_libraries=chosen.libraries(defaults.custom_op_libraries),
        arena=chosen.arena,
        shrink_arena=chosen.shrink_arena,
    )


def most_rows(card: ModelCard | None, said: Configured, defaults: LoadSettings) -> int:
    """In a batch of this model."""
    return said.choices.max_batch_rows or (card.max_batch_rows if card else None) or defaults.max_batch_rows


def owners_wish(said: Configured) -> Wanted | None:
    """What the model's owner says of batches; None where that is nothing."""
    choices, declared = said.choices, said.declared
    if choices.batched is not None:
        words = f"{CHOICES_FILE}: batched = {str(choices.batched).lower()}"
        return Wanted("asked" if choices.batched else "none", words)
    if declared is not None and declared.batched is not None:
        words = "max_batch_size" if declared.batched else "no max_batch_size"
        return Wanted("asked" if declared.batched else "none", f"{declared.source}: {words}")
    if choices.max_batch_rows is not None:
        return Wanted("asked", f"{CHOICES_FILE}: max_batch_rows")
    return None


def _wanted(card: ModelCard, said: Configured, nobody: Wanted) -> Wanted:
    wanted, fixed = owners_wish(said) or nobody, fixed_first_axis(card)
    if wanted.wish == "asked" and fixed:
        return Wanted("none", f"{wanted.source} asks for it, but {fixed}")
    if wanted is nobody and (not card.batched or left_out(card)):
        return Wanted("none", fixed or left_out(card) or f"{wanted.source} says so")
    return wanted


def _why_one_row(card: ModelCard, said: Configured) -> str:
    own = said.declared.source if said.declared else CHOICES_FILE
    others = "its card" if card.max_batch_rows else "the server's max_batch_rows"
    return f"not batched: by {own if said.choices.max_batch_rows else others} a batch has one row"


def _with_lengths(card: ModelCard, said: Configured) -> ModelCard:
    """ModelBroken where what model.toml says of lengths does not fit the model."""
    if not said.choices.named_lengths:
        return card
    try:
        lengths = changed(card.lengths, said.choices.named_lengths)
    except ValueError as error:
        raise ModelBroken(f"{CHOICES_FILE}: {error}") from error
    if (unfit := card.lengths_problem(lengths)) is not None:
        raise ModelBroken(f"{CHOICES_FILE}: {unfit}")
    return card.model_copy(update={"lengths": lengths})
