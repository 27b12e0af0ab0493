"""The door of a model version: a request is checked against its card, once and completely, and becomes arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import FoveaError, InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.runtime.arrays import Arrays
from fovea.serving.engines.reply import Reply
from fovea.serving.inputs.raw_input import RawInput
from fovea.serving.inputs.token_outputs import token_outputs
from fovea.serving.requests.answer import Answer
from fovea.serving.requests.header_bound import header_bound
from fovea.serving.requests.header_check import CheckedHeader, HeaderCheck
from fovea.serving.requests.infer_request import InferRequest, RequestHeader, Values
from fovea.serving.requests.request_parameters import RequestDefaults
from fovea.serving.requests.tensor_data import ExpectedInput, to_raw
from fovea.serving.shared_memory.places import Place
from fovea.serving.shared_memory.regions import Held, Regions

Data = Sequence[bytes | memoryview | Values | None]
_RAW = (bytes, memoryview)


class Admitted:
    """A request that has passed the door: its arrays, and the reply that takes what a model makes of them.

    It must be released once its final event has been sent, or where it gets none from here.
    """

    __slots__ = ("bytes", "checked", "decode", "held", "inputs", "reply", "request", "tokens")

    def __init__(self, request: InferRequest, checked: CheckedHeader, reply: Reply[Answer]) -> None:
        self.request, self.checked, self.reply = request, checked, reply
        self.inputs: dict[str, NDArray[Any]] = {}
        self.tokens: Arrays = {}
        """The outputs that no model makes: the tokens of its texts, where they are asked for."""
        self.bytes = 0
        """Size of the inputs; of values that are still to be decoded it is not known, and 0."""
        self.held: Held | None = None
        """The shared memory that its outputs go to, if any does."""
        self.decode: Callable[[], dict[str, NDArray[Any]]] | None = None
        """Makes the inputs, where that takes long; InvalidRequest as from the door. `inputs` is empty then."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits for events any more."""
        return self.reply.gone

    def watch(self) -> None:
        """Keep `gone` up to date from now on."""
        self.reply.watch()

    def send(self, event: Arrays | FoveaError, final: bool = True) -> None:
        """Send a model's outputs on as an answer, or an error; as a reply's `send`."""
        onward = event if isinstance(event, FoveaError) else self._answer(event)
        if final and self.held is not None:
            self.held.release()
        self.reply.send(onward, final)

    def _answer(self, outputs: Arrays) -> Answer:
        form, held = self.checked.form, self.held
        arrays = form.arrays({**outputs, **self.tokens} if self.tokens else outputs)
        answer = Answer(form, self.request.id, arrays)
        if held is not None:
            written = {}
            for output, array in zip(form.wanted, arrays, strict=True):
                if output.place is not None:
                    raw = to_raw(array)
                    held.write(output.place, raw)
                    written[output.spec.name] = len(raw)
            answer.written = written
        return answer

    def tell(self, tokens: Arrays) -> None:
        """Answer with these tokens too."""
        self.tokens = tokens

    def release(self) -> None:
        """Give back the shared memory that it holds."""
        if self.held is not None:
            self.held.release()


class Door:
    """What one model version lets in. Made once per version; may be used by any thread.

    A client's requests differ in their data and hardly ever in their headers: what a door made of a header is kept
    with it, so that fronts that keep headers have them checked once.
    """

    def __init__(
        self,
        card: ModelCard,
        version: int,
        max_batch_rows: int,
        defaults: RequestDefaults,
        raw: Mapping[str, RawInput] = MappingProxyType({}),
    ) -> None:
        self._card = card
        self._check = HeaderCheck(card, version, max_batch_rows, defaults, raw)
        tensors = (*card.inputs, *card.outputs, *card.maps.values(), *token_outputs(card).values())
        self.most_header = header_bound(spec.name for spec in tensors)
        """Bytes that a request may have beside its data."""

    def admit(self, request: InferRequest, reply: Reply[Answer], regions: Regions) -> Admitted:
        """Its arrays, without copying raw data; InvalidRequest tells expected and received.

        Data that takes long is left to be decoded elsewhere: meanwhile nobody's request would be taken in.
        """
        (door, checked), data = request.header.passed, request.data
        if door is not self:
            checked = self._checked(request.header)
        if len(data) != checked.data_count:
            raise InvalidRequest(f"expected the data of each of {checked.data_count} inputs, received {len(data)}")
        admitted = Admitted(request, checked, reply)
        if checked.takes_long or (request.has_values and checked.values_take_long):
            admitted.decode = partial(_arrays, checked, data, regions)
        else:
            admitted.inputs = _arrays(checked, data, regions)
        if not request.has_values:
            sent = sum(map(len, data)) if checked.data_bytes is None else checked.data_bytes  # type: ignore[arg-type]
            admitted.bytes = sent + checked.shared_bytes
        elif admitted.decode is None:
            admitted.bytes = sum(map(_size, checked.inputs, _spread(checked.inputs, data)))
        if checked.output_places:
            admitted.held = regions.hold(checked.output_places)
        return admitted

    def _checked(self, header: RequestHeader) -> CheckedHeader:
        whole = header if header.for_card is None else header.for_card(header, self._card)
        checked = self._check.check(whole)
        header.passed = (self, checked)
        return checked


def _arrays(checked: CheckedHeader, data: Data, regions: Regions) -> dict[str, NDArray[Any]]:
    if checked.data_count != len(checked.inputs):
        data = [
            one if tensor.place is None else _shared(tensor, tensor.place, regions)
            for tensor, one in zip(checked.inputs, _spread(checked.inputs, data), strict=True)
        ]
    return {
        tensor.name: tensor.array(one) if isinstance(one, _RAW) else _from_values(tensor, one)
        for tensor, one in zip(checked.inputs, data, strict=True)
    }


def _from_values(tensor: ExpectedInput, values: Values | None) -> NDArray[Any]:
    if values is not None:
        return values.array(tensor)
    if 0 not in tensor.shape:
        raise InvalidRequest(f"input '{tensor.name}' has neither raw data nor values")
    return tensor.array(b"")


def _spread(inputs: Sequence[ExpectedInput], data: Data) -> Data:
    """What came for each input, None for those in shared memory."""
    sent = iter(data)
    return [next(sent) if tensor.place is None else None for tensor in inputs]


def _size(tensor: ExpectedInput, data: bytes | memoryview | Values | None) -> int:
    if tensor.place is not None:
        return tensor.place.byte_size
    if tensor.datatype != "BYTES":
        return tensor.size
    return len(data) if isinstance(data, _RAW) else 0 if data is None else data.bytes


def _shared(tensor: ExpectedInput, place: Place, regions: Regions) -> bytes:
    tensor.check_size(place.byte_size)  # first: nothing is read in vain
    return regions.read(place)
