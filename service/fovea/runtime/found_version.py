"""What a version is: its card, or what can be seen of a file without one, and what its model's folder says besides.

All of it is tried in another process, where it shows how rows and sequences may share batches.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from fovea.contract.errors import ModelBroken
from fovea.contract.lengths import LengthChanges, LengthSpec
from fovea.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard
from fovea.contract.operators import VERSION
from fovea.runtime.attention_seen import Seen
from fovea.runtime.batching_choice import Wanted, Wish, choose_batching, choose_padding
from fovea.runtime.description import describe
from fovea.runtime.device import CPU
from fovea.runtime.files import file_sha256, model_path, require_whole
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.probe import TrialSubject, probe_version
from fovea.runtime.repository import Configured
from fovea.runtime.trial_question import Tried
from fovea.runtime.version_settings import VersionSettings, most_rows, owners_wish, resolve, session_settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundVersion:
    """A version's settings, whose card has what was seen of it, and what came of its trial."""

    settings: VersionSettings
    tried: Tried
    batching: str = ""
    """Why its requests do not share batches as its file would let them, or do against what was seen."""

    @property
    def unexpected(self) -> bool:
        """Whether nobody has asked to have its requests batched so."""
        return self.settings.wanted.wish != "none"


def find_version(folder: Path, name: str, defaults: LoadSettings, said: Configured) -> FoundVersion:
    """The facts of the version in `folder`. ModelBroken tells why it cannot be served."""
    if said.declared and said.declared.remark:
        logger.warning("%s: %s: %s", name, said.declared.source, said.declared.remark)
    if not (folder / CARD_FILE).exists():
        return _find_plain(folder, name, defaults, said)
    if said.file != MODEL_FILE:
        raise ModelBroken(f"default_model_filename: the version has a card, so it is {MODEL_FILE}")
    card = ModelCard.read(folder / CARD_FILE).model_copy(update={"name": name})
    require_whole(folder, card)
    settings = resolve(card, said, defaults)
    return _tried(folder, settings, settings.session, defaults, said.file)


def _find_plain(folder: Path, name: str, defaults: LoadSettings, said: Configured) -> FoundVersion:
    """Of a file without a card. Where its folder says something of it, it is tried twice: then sizes are known."""
    session = replace(session_settings(said, defaults), kernel_library=None, device=CPU)
    more = owners_wish(said) or said.declared or said.choices.named_lengths
    wish: Wish = "none" if more else "unsaid"
    rows = most_rows(None, said, defaults)
    subject = TrialSubject(folder, rows, None, wish, said.file, said.named_inputs, measure=defaults.on_processor)
    tried = probe_version(subject, session, defaults.probe)
    card = _plain_card(model_path(folder, said.file), name, session, said.named_inputs, tried.seen)
    settings = resolve(card, said, defaults, Wanted("said" if said.choices.named_lengths else "unsaid"))
    return _tried(folder, settings, session, defaults, said.file) if more else _found(settings, tried)


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


def _tried(
    folder: Path, settings: VersionSettings, session: SessionSettings, defaults: LoadSettings, file: str
) -> FoundVersion:
    subject = TrialSubject(
        folder,
        settings.max_batch_rows,
        settings.card,
        settings.wanted.wish,
        file,
        race=defaults.on_processor and not defaults.kernels_required,
        measure=defaults.on_processor,
    )
    return _found(settings, probe_version(subject, session, defaults.probe))


def _found(settings: VersionSettings, tried: Tried) -> FoundVersion:
    """With what came of trying it."""
    card, changes = settings.card, settings.length_changes
    choice = choose_batching(settings.wanted, tried.rows)
    chosen = {name: _as_tried(name, length, tried, changes.get(name)) for name, length in card.lengths.items()}
    reasons = [choice.reason, *(reason for _, reason in chosen.values())] if choice.batched else [choice.reason]
    lengths = {name: length for name, (length, _) in chosen.items()}
    card = card.model_copy(update={"batched": choice.batched, "lengths": lengths})
    told = "; ".join(filter(None, dict.fromkeys(reasons)))
    return FoundVersion(replace(settings, card=card), tried, told)


def _as_tried(name: str, length: LengthSpec, tried: Tried, said: LengthChanges | None) -> tuple[LengthSpec, str]:
    """A length as it will be served, and the reason where it is not padded, or is although that changes answers."""
    asked = said is not None and "padded" in said.model_fields_set
    padded, reason = choose_padding(name, length, tried.padding_harm.get(name, ""), asked=asked)
    return length.model_copy(update={"padded": padded, "longest": length.longest or tried.longest.get(name)}), reason
