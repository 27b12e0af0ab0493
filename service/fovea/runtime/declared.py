"""What a configuration says of a model's ONNX file: checked against the file, and kept where the file is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE, ModelCard
from fovea.contract.tensor_spec import TensorSpec


@dataclass(frozen=True)
class Labels:
    """What the classes of an output are called, in the order of their indices, and the file that says so."""

    file: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Declared:
    """What is said in `source`, a file. Shapes have the batch axis, where `batched`."""

    source: str
    batched: bool | None
    """None where nothing is said of it."""
    inputs: tuple[TensorSpec, ...] = ()
    """All of them, or none where nothing is said of inputs."""
    outputs: tuple[TensorSpec, ...] = ()
    """Those that are said, which need not be all."""
    labels: Mapping[str, Labels] = field(default_factory=dict)
    """Output -> the labels of its classes."""
    client_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name -> the shape that clients send or get, of inputs and outputs whose shape in the model is another."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Input -> the order of its axes, as Triton's clients of pictures ask for it."""
    optional: frozenset[str] = frozenset()
    """Inputs that requests may leave out."""
    file: str = MODEL_FILE
    """The model's, in its version's folder."""
    remark: str = ""
    """What people should hear of it where the model is loaded."""


def as_declared(card: ModelCard, declared: Declared | None) -> ModelCard:
    """The card with what was declared. ModelBroken tells expected and found where the two do not agree."""
    if declared is None:
        return card
    if declared.batched and not card.batched:
        raise ModelBroken(f"{declared.source}: it asks for batches, and the file does not batch along axis 0")
    needed = [spec.name for spec in card.inputs if spec.name not in card.optional_inputs]
    changes = {
        "batched": card.batched if declared.batched is None else declared.batched,
        "inputs": _agreed(declared.source, "input", declared.inputs, card.inputs, needed=needed),
        "outputs": _agreed(declared.source, "output", declared.outputs, card.outputs),
        "optional_inputs": _optional(declared, card),
        "client_shapes": {**card.client_shapes, **declared.client_shapes},
        "output_labels": {**card.output_labels, **{name: found.names for name, found in declared.labels.items()}},
    }
    return card.model_copy(update=changes)


def _optional(declared: Declared, card: ModelCard) -> tuple[str, ...]:
    """The inputs that may be left out: of those that are listed, the ones of which it is said."""
    if strange := sorted(declared.optional - set(card.optional_inputs)):
        raise ModelBroken(
            f"{declared.source}: input {strange[0]} is optional there, and the model needs it: the file gives it "
            "neither an optional type nor a default value"
        )
    listed = {spec.name for spec in declared.inputs}
    return tuple(name for name in card.optional_inputs if name in declared.optional or name not in listed)


def _agreed(
    source: str, what: str, declared: Sequence[TensorSpec], found: Sequence[TensorSpec], needed: Sequence[str] = ()
) -> tuple[TensorSpec, ...]:
    """The file's tensors, in its order, with the sizes that only the configuration knows."""
    wanted = {spec.name: spec for spec in declared}
    names = [spec.name for spec in found]
    if declared and (strange := sorted(set(wanted) - set(names))):
        raise ModelBroken(f"{source}: {what} {strange[0]}: the file has {names}")
    if declared and not wanted.keys() >= set(needed):
        raise ModelBroken(f"{source}: {what}s: expected {list(needed)}, found {list(wanted)}")
    return tuple(_one(source, wanted.get(spec.name, spec), spec) for spec in found)


def _one(source: str, declared: TensorSpec, found: TensorSpec) -> TensorSpec:
    if declared.datatype == found.datatype and found.admits(declared.shape):
        return declared
    raise ModelBroken(
        f"{source}: {declared.name} is {declared.datatype}{list(declared.shape)} there, "
        f"{found.datatype}{list(found.shape)} in the file"
    )
