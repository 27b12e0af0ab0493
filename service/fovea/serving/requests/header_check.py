"""What a request says besides its data: which tensors it brings, which outputs it wants. All of it is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fovea.contract.datatypes import DATATYPES
from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import MAP_PREFIX, ModelCard
from fovea.contract.reshape import Reshape
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.queued_request import BatchKey
from fovea.serving.inputs.raw_input import RawInput
from fovea.serving.inputs.token_outputs import text_input, token_outputs
from fovea.serving.requests.answer import AnswerForm, AnswerMaker, WantedOutput
from fovea.serving.requests.batch_keys import BatchKeys
from fovea.serving.requests.infer_request import InputTensor, RequestedOutput, RequestHeader
from fovea.serving.requests.request_parameters import RequestDefaults, classes_wanted, urgency
from fovea.serving.requests.tensor_data import ExpectedInput
from fovea.serving.shared_memory.places import Place, place_of

MOST_UNBATCHED = 256
"""Most pictures or texts of a request to a model that does not batch, where nothing else bounds rows: a few bytes
become a megabyte."""


@dataclass(frozen=True, slots=True)
class CheckedHeader:
    """A request's header that has passed."""

    inputs: tuple[ExpectedInput, ...]
    """The inputs, in the request's order."""
    rows: int
    batch_key: BatchKey
    form: AnswerForm
    timeout_s: float | None
    """How long it may wait in the queue."""
    priority: int
    """Lower goes first."""
    raw: tuple[RawInput, ...] = ()
    """The inputs that came as pictures or texts."""
    key_of_arrays: Callable[[Arrays], BatchKey] | None = None
    """Tells the batch key where only its tensors show it: how long a text is."""
    tells_tokens: bool = False
    """Whether it asks for the tokens of its texts."""
    data_count: int = 0
    """Inputs whose data comes with the request; that of the others is in shared memory."""
    data_bytes: int | None = None
    """Size of that data, as raw bytes; None where there are texts, which may have any."""
    output_places: tuple[Place, ...] = ()
    """Where in shared memory outputs are to go."""
    shared_bytes: int = 0
    """Size of the inputs in shared memory."""
    takes_long: bool = False
    """Its data takes long to decode, as raw bytes or from shared memory."""
    values_take_long: bool = False
    """The same where some of it are values."""


class HeaderCheck:
    """What one model version lets in."""

    def __init__(
        self,
        card: ModelCard,
        version: int,
        max_batch_rows: int,
        defaults: RequestDefaults,
        raw: Mapping[str, RawInput],
    ) -> None:
        self._defaults = defaults
        self._batched, self._max_rows = card.batched, max_batch_rows
        self._inputs = {spec.name: spec for spec in card.as_clients_see(card.inputs)}
        self._reshapes = {spec.name: reshape for spec in card.inputs if (reshape := _from_clients(spec, card))}
        self._outputs = {spec.name: WantedOutput(spec, reshape=_to_clients(spec, card)) for spec in card.outputs}
        self._maps = {name: WantedOutput(spec) for name, spec in card.maps.items()}
        self._tokens = {name: WantedOutput(spec) for name, spec in token_outputs(card).items()}
        self._text_input = text_input(card)
        self._raw = raw
        self._keys = BatchKeys(card)
        self._answers = AnswerMaker(card.name, str(version), card.labels_by_output, card.batched)
        self._every_output = AnswerForm(self._answers, tuple(self._outputs.values()))

    def check(self, header: RequestHeader) -> CheckedHeader:
        """InvalidRequest tells expected and received."""
        timeout_s, priority = urgency(header.parameters, self._defaults)
        inputs = self._tensors(header.inputs)
        shapes = {tensor.name: tensor.shape for tensor in inputs}
        rows = self._rows(shapes)
        raw = tuple([self._raw[tensor.name] for tensor in header.inputs if self._is_raw(tensor)]) if self._raw else ()
        form = AnswerForm(self._answers, self._wanted(header.outputs)) if header.outputs else self._every_output
        maps = any(output.spec.name in self._maps for output in form.wanted)
        batch_key, later = self._batch_key(shapes, raw, maps=maps) if raw else (self._keys.of(shapes, maps=maps), None)
        facts = _facts(inputs, form)
        if self._tokens and header.outputs:
            facts["tells_tokens"] = self._tells_tokens(form, raw)
        return CheckedHeader(inputs, rows, batch_key, form, timeout_s, priority, raw, later, **facts)

    def _tells_tokens(self, form: AnswerForm, raw: Sequence[RawInput]) -> bool:
        """Whether tokens are asked for; InvalidRequest where there is no text that they could be of."""
        asked = [output.spec.name for output in form.wanted if output.spec.name in self._tokens]
        if asked and self._text_input not in [one.name for one in raw]:
            raise InvalidRequest(f"output '{asked[0]}' tells of texts: send input '{self._text_input}' as BYTES")
        return bool(asked)

    def _batch_key(
        self, shapes: Mapping[str, tuple[int, ...]], raw: Sequence[RawInput], *, maps: bool
    ) -> tuple[BatchKey, Callable[[Arrays], BatchKey] | None]:
        """Of a request with pictures or texts: its key, and what tells it in the end where a text's length decides."""
        made = dict(shapes)
        for one in raw:
            if 0 in shapes[one.name]:
                raise InvalidRequest(f"input '{one.name}': expected at least one {one.kind}, received none")
            if not self._batched and shapes[one.name][0] > MOST_UNBATCHED:
                what = f"{shapes[one.name][0]} {one.kind}s"
                raise InvalidRequest(f"input '{one.name}': expected at most {MOST_UNBATCHED}, received {what}")
            if sent := [name for name in one.made if name in shapes]:
                raise InvalidRequest(f"input '{sent[0]}' is made of the texts of '{one.name}': send one of them")
            made[one.name] = (shapes[one.name][0], *one.row_shape)
        if not any(-1 in one.row_shape for one in raw):
            return self._keys.of(made, maps=maps), None
        return BatchKey((), maps), lambda arrays: self._keys.of(_shapes(arrays), maps=maps)

    def _tensors(self, received: Sequence[InputTensor]) -> tuple[ExpectedInput, ...]:
        tensors: dict[str, ExpectedInput] = {}
        optional = self._keys.optional
        for tensor in received:
            if tensor.name in tensors:
                raise InvalidRequest(f"input '{tensor.name}' was sent twice")
            tensors[tensor.name] = self._tensor(tensor)
            if self._raw and self._is_raw(tensor):
                optional = optional.union(self._raw[tensor.name].made)
        missing = [name for name in self._inputs if name not in tensors and name not in optional]
        if missing:
            raise InvalidRequest(f"missing input(s) {missing}: expected {list(self._inputs)}, received {list(tensors)}")
        return tuple(tensors.values())

    def _tensor(self, tensor: InputTensor) -> ExpectedInput:
        spec = self._spec(tensor)
        place = place_of(spec.name, tensor.parameters) if tensor.parameters else None
        self._check_shape(spec, tensor.shape)
        reshape = None if self._is_raw(tensor) else self._reshapes.get(spec.name)
        shape = reshape.shape(tensor.shape) if reshape else tensor.shape
        return ExpectedInput(spec.name, spec.datatype, shape, place, tensor.shape)

    def _spec(self, tensor: InputTensor) -> TensorSpec:
        """What the tensor is held against."""
        spec = self._inputs.get(tensor.name)
        if spec is None:
            raise InvalidRequest(f"unexpected input '{tensor.name}': expected {list(self._inputs)}")
        if self._is_raw(tensor):
            return self._raw[tensor.name].spec(tensor.shape)
        if tensor.datatype != spec.datatype:
            raise InvalidRequest(f"input '{spec.name}': expected {spec.datatype}, received '{tensor.datatype}'")
        return spec

    def _is_raw(self, tensor: InputTensor) -> bool:
        """Whether it brings pictures or texts in place of its tensor."""
        return tensor.datatype == "BYTES" and tensor.name in self._raw

    def _check_shape(self, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        if spec.admits(shape) and min(shape, default=0) >= 0:
            return
        expected, hint = spec.shape, ""
        if self._batched and len(shape) == len(expected) - 1:
            hint = f"; the batch axis is missing, send {[1, *shape]}"
        elif any(size < 0 for size in shape):
            hint = "; a request's sizes must be known, -1 is not one"
        raise InvalidRequest(f"input '{spec.name}': expected shape {list(expected)}, received {list(shape)}{hint}")

    def _rows(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        if not self._batched:
            return 1
        if not shapes:
            raise InvalidRequest(f"expected at least one of the inputs {list(self._inputs)}, received none")
        rows = {name: shape[0] for name, shape in shapes.items()}
        counts = set(rows.values())
        if len(counts) > 1:
            raise InvalidRequest(f"inputs differ in their batch size: {rows}")
        count = counts.pop()
        if not 1 <= count <= self._max_rows:
            raise InvalidRequest(f"expected a batch of 1 to {self._max_rows} rows, received {count}")
        return count

    def _wanted(self, received: Sequence[RequestedOutput]) -> tuple[WantedOutput, ...]:
        wanted: dict[str, WantedOutput] = {}
        for output in received:
            if output.name in wanted:  # looked for first: of thousands only as many are made as the model has
                raise InvalidRequest(f"output '{output.name}' was requested twice")
            wanted[output.name] = self._wanted_output(output)
        return tuple(wanted.values())

    def _wanted_output(self, output: RequestedOutput) -> WantedOutput:
        wanted = self._outputs.get(output.name) or self._maps.get(output.name) or self._tokens.get(output.name)
        if wanted is None:
            has_maps = f", and maps {list(self._maps)}" if self._maps and output.name.startswith(MAP_PREFIX) else ""
            raise InvalidRequest(f"unknown output '{output.name}': the model has {list(self._outputs)}{has_maps}")
        spec = wanted.spec
        top = classes_wanted(f"output '{spec.name}'", output.parameters)
        if top and not DATATYPES[spec.datatype].is_number:
            raise InvalidRequest(f"output '{spec.name}': classification needs numbers, it is {spec.datatype}")
        return replace(wanted, top=top, place=place_of(spec.name, output.parameters))


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _facts(inputs: Sequence[ExpectedInput], form: AnswerForm) -> dict[str, Any]:
    """Where the data comes from and goes to, its size, and whether it takes long: fields of a CheckedHeader."""
    places = tuple(output.place for output in form.wanted if output.place)
    sent = [tensor for tensor in inputs if not tensor.place]
    has_texts = any(tensor.datatype == "BYTES" for tensor in sent)
    return {
        "data_count": len(sent),
        "data_bytes": None if has_texts else sum(tensor.size for tensor in sent),
        "output_places": places,
        "shared_bytes": sum(tensor.place.byte_size for tensor in inputs if tensor.place),
        "takes_long": any(tensor.takes_long() for tensor in inputs),
        "values_take_long": any(tensor.takes_long() or tensor.takes_long(from_values=True) for tensor in inputs),
    }


def _from_clients(spec: TensorSpec, card: ModelCard) -> Reshape | None:
    shape = card.client_shapes.get(spec.name)
    return None if shape is None else Reshape(shape, spec.shape)


def _to_clients(spec: TensorSpec, card: ModelCard) -> Reshape | None:
    shape = card.client_shapes.get(spec.name)
    return None if shape is None else Reshape(spec.shape, shape)
