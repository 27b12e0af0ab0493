"""Whether requests for a version share batches: what is wanted against what was seen, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fovea.contract.lengths import LengthSpec
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.row_verdicts import RowVerdict

Wish = Literal["none", "asked", "said", "unsaid"]
"""Who wants batches: nobody does; the model's owner asks for them; the card says that the model batches; nothing is
said, so that all that speaks against them counts."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a version's batches, and where it is said."""

    wish: Wish
    source: str = ""
    """Empty where nobody says so, but it can be taken from what else is said."""


@dataclass(frozen=True)
class Batching:
    """Whether requests share batches. There is a reason where they do not, and where they do against what was seen."""

    batched: bool
    reason: str = ""


def choose_batching(wanted: Wanted, seen: RowVerdict) -> Batching:
    """An owner who asks for batches is believed wherever the model can be run in them; a card, where it was not run."""
    if wanted.wish == "none":
        return Batching(False, f"not batched: {wanted.source}")
    if seen.apart:
        return Batching(True)
    if wanted.wish == "said" and wanted.source and seen.seen == "untried":
        return Batching(True, f"batched as {wanted.source} says: {seen.reason}")
    if wanted.wish != "asked":
        return Batching(False, f"not batched: {seen.reason}; batched = true in model.toml goes before this")
    if seen.seen == "impossible":
        return Batching(False, f"not batched, though {wanted.source} asks for it: {seen.reason}")
    return Batching(True, f"batched since {wanted.source} asks for it, although {seen.reason}")


def choose_padding(name: str, length: LengthSpec, harm: str, *, asked: bool) -> tuple[bool, str]:
    """Whether requests are filled up along a length to share batches, and the reason where there is one.

    `harm`: how padding was seen to change answers. `asked`: the model's owner says whether it may be done.
    """
    apart = f"only requests of the same length '{name}' share batches"
    if not length.padded:
        return False, f"{apart}: {'model.toml' if asked else 'its card'} says padded = false"
    if not harm:
        return True, ""
    if asked:
        return True, f"length '{name}' is padded since model.toml says padded = true, although {harm}"
    return False, f"{apart}: {harm}"


def fixed_first_axis(card: ModelCard) -> str:
    """The tensor that cannot have rows of several requests, in words; nothing where every one can."""
    return next((_words(spec) for spec in (*card.inputs, *card.outputs) if spec.shape[:1] != (-1,)), "")


def left_out(card: ModelCard) -> str:
    """Inputs that requests may leave out, in words; nothing where there are none."""
    names = ", ".join(card.optional_inputs)
    return f"requests may leave out {names}, and rows were not looked at without" if names else ""


def _words(spec: TensorSpec) -> str:
    return f"{spec.name} has shape {list(spec.shape)}, whose first axis is not open (-1)"
