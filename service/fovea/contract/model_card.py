"""The model card: what an exported version is, as facts in a JSON file beside the ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, ValidationError, model_validator

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.errors import ModelBroken
from fovea.contract.facts import Facts
from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.contract.length_problems import problem_of
from fovea.contract.lengths import MOST_LENGTHS, SEQUENCE, LengthName, LengthSpec, NamedLengths
from fovea.contract.reshape import reshape_problem
from fovea.contract.tensor_spec import TensorSpec, TensorSpecs
from fovea.contract.validation import first_problem

MODEL_FILE = "model.onnx"
MAPS_FILE = "maps.onnx"
CARD_FILE = "card.json"
GOLDEN_FILE = "golden.npz"
GOLDEN_TEXTS_FILE = "golden_texts.json"
MAP_PREFIX = "attention."
MOST_BATCH_ROWS = 4096
MOST_TEXT_BYTES = 1 << 20
"""Most bytes of a card, or of another file that people write."""

_Texts = Annotated[tuple[str, ...], FailFast()]
"""Read as far as the first that is wrong, as `TensorSpecs` are."""


class Training(Facts):
    """Where the weights come from, so that they can be made again."""

    data: str
    seed: int
    epochs: int
    rows: int
    """Training examples seen per epoch."""
    started_from: str | None = None
    """The model whose trained weights it began with; None: random numbers."""


class Parity(Facts):
    """Largest absolute error against PyTorch in float64, over all outputs, per batch size."""

    runs: Literal["body", "kernel"]
    max_abs_error: dict[int, float]
    """Rows of a batch -> its largest absolute error."""


class ModelCard(Facts):
    """Everything a server, a client and a person need to know about one exported version."""

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    attention: AttentionType
    """The primary type: the label of the request metrics."""
    layers: Annotated[tuple[AttentionLayer, ...], FailFast()] = ()
    undone: _Texts = ()
    """What export took for a layer and undid, since it did not hold: a line each."""
    inputs: TensorSpecs = Field(min_length=1)
    outputs: TensorSpecs = Field(min_length=1)
    batched: bool
    """True: axis 0 of every input and output is the batch."""
    max_batch_rows: int | None = Field(default=None, gt=0, le=MOST_BATCH_ROWS)
    """None: the server's setting."""
    optional_inputs: tuple[str, ...] = ()
    """Inputs that requests may leave out."""
    client_shapes: dict[str, tuple[int, ...]] = Field(default={})
    """Of inputs and outputs that clients send and get in another shape than the model's, by name; see `Reshape`."""
    lengths: dict[LengthName, LengthSpec] = Field(default={}, max_length=MOST_LENGTHS)
    """Which axes are lengths, by the lengths' names. Cards of one length may say it as `sequence` too."""
    labels: _Texts = ()
    """Of the classes of the prediction, which is the first output."""
    output_labels: dict[str, _Texts] = Field(default={})
    """The same of any output, by its name; goes before `labels`."""
    preprocessing: Preprocessing | None = None
    """The short form of `input_steps` for the one input that pictures of this size fit."""
    input_steps: dict[str, InputSteps] = Field(default={})
    """Input -> the steps that make it of a picture or a text, whose bytes may be sent in its place."""
    parameters: int = Field(ge=0)
    """Trained numbers in the model."""
    metrics: dict[str, float] = Field(default={})
    """What was measured on the test set, e.g. {"accuracy": 0.931}."""
    training: Training | None = None
    opset: int
    operator_version: int | None = None
    """Version of the `ai.fovea` operators; None where there are none."""
    allow_tf32: bool = False
    parity: tuple[Parity, ...] = ()
    tolerances: dict[str, float] = Field(default={})
    """Output or map name -> largest absolute deviation from the golden batch that is still right."""
    sha256: dict[str, str] = Field(default={})
    """File name -> hash, for every other file of the version."""

    @model_validator(mode="after")
    def _batch_is_axis_0(self) -> ModelCard:
        for spec in (*self.inputs, *self.outputs):
            if self.batched and spec.shape[:1] != (-1,):
                raise ValueError(f"{spec.name} has shape {list(spec.shape)}; with batched=true it must start with -1")
        return self

    @model_validator(mode="after")
    def _client_shapes_fit(self) -> ModelCard:
        specs = {spec.name: spec for spec in (*self.inputs, *self.outputs)}
        for name, shape in self.client_shapes.items():
            if name not in specs:
                raise ValueError(f"client_shapes: {name} is none of the inputs and outputs {list(specs)}")
            if (problem := reshape_problem(shape, specs[name].shape)) is not None:
                raise ValueError(f"client_shapes: {name}: {problem}")
        return self

    @model_validator(mode="after")
    def _labels_are_of_outputs(self) -> ModelCard:
        names = [spec.name for spec in self.outputs]
        if strange := sorted(set(self.output_labels) - set(names)):
            raise ValueError(f"output_labels: {strange[0]} is none of the outputs {names}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _sequence_is_a_length(cls, facts: Any) -> Any:
        if not isinstance(facts, dict) or SEQUENCE not in facts:
            return facts
        others = {name: fact for name, fact in facts.items() if name != SEQUENCE}
        if facts[SEQUENCE] is None:
            return others
        if others.get("lengths"):
            raise ValueError(f"{SEQUENCE} and lengths: a card has one of them")
        return {**others, "lengths": {SEQUENCE: facts[SEQUENCE]}}

    @model_validator(mode="after")
    def _steps_make_inputs(self) -> ModelCard:
        if self.preprocessing is not None and self.input_steps:
            raise ValueError("preprocessing and input_steps together: expected one of them")
        specs = {spec.name: spec for spec in self.inputs}
        for name, steps in self.input_steps.items():
            if name not in specs:
                raise ValueError(f"input_steps: {name} is none of the inputs {list(specs)}")
            if not _takes(specs[name], steps):
                found, made = f"{specs[name].datatype} {list(specs[name].shape)}", [-1, *steps.row_shape]
                kinds = " or ".join(_MADE[steps.kind])
                raise ValueError(f"input_steps: {name} is {found}, and its steps make {kinds} {made}")
            if steps.types is not None and not _takes_types(specs, name, steps.types):
                raise ValueError(f"input_steps: {name} makes the types {steps.types}, which is no input of its shape")
            if steps.types is not None and self._is_made_otherwise(name, steps.types):
                raise ValueError(f"input_steps: {name} makes the types {steps.types}, which is made otherwise already")
            if missing := [file for file in steps.files if self.sha256 and file not in self.sha256]:
                raise ValueError(f"input_steps: {name} needs {missing[0]}, of which the card has no hash")
        return self

    def _is_made_otherwise(self, name: str, types: str) -> bool:
        """Whether an input of token types has steps of its own, is a mask, or is made of another text."""
        others = {steps.types for other, steps in self.input_steps.items() if other != name}
        return types in {*self.input_steps, *others, *(spec.mask for spec in self.lengths.values())}

    @model_validator(mode="after")
    def _lengths_fit(self) -> ModelCard:
        if (problem := self.lengths_problem(self.lengths)) is not None:
            raise ValueError(problem)
        return self

    def lengths_problem(self, lengths: NamedLengths) -> str | None:
        """Why the model cannot be served with such lengths; None where it can."""
        if lengths and self.optional_inputs:
            return f"requests may leave out {self.optional_inputs[0]}, which must not be where lengths differ"
        return problem_of(lengths, self.inputs, self.outputs, self.maps.values()) if lengths else None

    @property
    def maps(self) -> dict[str, TensorSpec]:
        """Every attention map by its output name."""
        return {spec.name: spec for layer in self.layers for spec in layer.maps}

    @property
    def operators(self) -> frozenset[str]:
        """The attention operators in the model."""
        return frozenset(layer.operator for layer in self.layers if layer.operator)

    def as_clients_see(self, specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
        """Inputs or outputs in the shape in which clients send and get them."""
        shapes = self.client_shapes
        return tuple(
            spec.model_copy(update={"shape": shapes[spec.name]}) if spec.name in shapes else spec for spec in specs
        )

    @property
    def steps_by_input(self) -> dict[str, InputSteps]:
        """Input -> the steps that make it. A short form counts where exactly one input takes any number of its rows."""
        if self.preprocessing is None:
            return self.input_steps
        steps = self.preprocessing.steps
        fitting = [spec.name for spec in self.inputs if _takes(spec, steps)]
        return {fitting[0]: steps} if len(fitting) == 1 else {}

    @property
    def labels_by_output(self) -> dict[str, tuple[str, ...]]:
        """The labels of every output that has some; those of the prediction come first."""
        prediction = {self.outputs[0].name: self.labels} if self.labels else {}
        return {**prediction, **self.output_labels}

    @property
    def attention_types(self) -> tuple[AttentionType, ...]:
        """The types in the model, the primary one first."""
        return tuple(dict.fromkeys([self.attention, *(layer.attention for layer in self.layers)]))

    def to_json(self) -> str:
        """The file form: readable, stable, ends in a newline."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card file; ModelBroken tells the first field that is wrong."""
        try:
            facts = path.stat()
            if not S_ISREG(facts.st_mode) or facts.st_size > MOST_TEXT_BYTES:
                raise ModelBroken(f"{path.name} is no regular file of at most {MOST_TEXT_BYTES >> 20} MiB")
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = first_problem(error)
            raise ModelBroken(f"{path.name}: {problem.where or 'file'}: {problem.told}") from error
        except OSError as error:
            raise ModelBroken(f"{path.name} cannot be read: {error.strerror}") from error


_MADE = {"picture": ("FP32",), "text": ("INT64", "INT32")}
"""What steps begin with -> the datatypes that they can make."""


def _takes(spec: TensorSpec, steps: InputSteps) -> bool:
    """Whether an input takes any number of rows that come of these steps."""
    return spec.datatype in _MADE[steps.kind] and spec.shape[:1] == (-1,) and spec.admits((-1, *steps.row_shape))


def _takes_types(specs: Mapping[str, TensorSpec], name: str, types: str) -> bool:
    """Whether an input takes the types of the tokens that another one takes."""
    spec = specs.get(types)
    return spec is not None and types != name and spec.datatype in _MADE["text"] and spec.shape == specs[name].shape
