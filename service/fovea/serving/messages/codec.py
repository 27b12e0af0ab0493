"""ModelInfer's messages to arrays: everything a request must satisfy is checked on this way, once."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.runtime.arrays import Arrays
from fovea.serving.messages.header_size import LEAST_BOUND, header_bound, header_size, header_too_large, require_small
from fovea.serving.messages.headers import Header, HeaderCheck
from fovea.serving.messages.request_parameters import RequestDefaults
from fovea.serving.messages.sending import ANYTHING, Sending, answer_too_large
from fovea.serving.messages.tensors import RawTensor, from_contents, has_contents
from fovea.serving.shared_memory.places import Place, is_placed
from fovea.serving.shared_memory.regions import Held, Regions
from fovea.wire import message

_HEADERS_KEPT = 1024
_KEPT_BYTES = 4 << 20
"""Of all headers of a version. Those of a model of 2,000 inputs have 100 KB, and take 10 ms to check."""


@dataclass(slots=True)  # not frozen: each request makes one, and that takes a third of the time
class Decoded:
    """A request that has passed the door."""

    request_id: str
    header: Header
    inputs: dict[str, NDArray[Any]]
    bytes: int
    """Size of the inputs; of typed ones that are still to be made it is not known, and 0."""
    held: Held | None = None
    """The shared memory that its outputs go to, if any does."""
    decode: Callable[[], dict[str, NDArray[Any]]] | None = None
    """Makes the inputs, where that takes long; InvalidRequest as from the door. `inputs` is empty then."""
    sending: Sending = ANYTHING
    """What may be sent to its caller."""

    def admit(self, sending: Sending) -> None:
        """Let its answer be sent in this way; InvalidRequest, and it is released, where it cannot be."""
        self.sending = sending
        try:
            sending.admit(self.header.answer, self.header.rows)
        except InvalidRequest:
            self.release()
            raise

    def encode(self, request_id: str, outputs: Arrays) -> builtins.bytes:
        """The serialized answer; InvalidRequest or RegionTooSmall where it cannot be sent."""
        form, style = self.header.answer, self.sending.style
        arrays = form.arrays(outputs)
        if style is not None:
            style.check(form.wanted, arrays)
        if self.held is None:
            body = form.encode(request_id, arrays)
        else:
            body = form.encode_shared(request_id, arrays, self.held)
        if len(body) > self.sending.most_bytes:
            raise answer_too_large(len(body), self.sending.most_bytes)
        return body

    def release(self) -> None:
        """The request has ended: let go of what it holds."""
        if self.held is not None:
            self.held.release()


class Door:
    """What one model version lets in, and how it answers. Made once per version; may be used by any thread.

    A client's requests differ in their data and hardly ever in their headers: a header that has passed is kept, and
    passes again at the price of serializing it, a fifth of that of checking it.
    """

    def __init__(self, card: ModelCard, version: int, max_batch_rows: int, defaults: RequestDefaults) -> None:
        self._check = HeaderCheck(card, version, max_batch_rows, defaults)
        self._passed: dict[bytes, Header] = {}
        self._kept_bytes = 0
        self.most_header = header_bound(spec.name for spec in (*card.inputs, *card.outputs, *card.maps.values()))
        """Bytes that a request may have beside its data."""

    def decode(self, request: Any, regions: Regions) -> Decoded:
        """Arrays from a ModelInferRequest, without copying raw data; InvalidRequest tells expected and received.

        Takes the data and the id out of the message. What it returns must be released once the request has ended.
        Data that takes long is left to be decoded elsewhere: meanwhile nobody's request would be taken in.
        """
        raw = list(request.raw_input_contents)
        if not raw and not all(is_placed(tensor.parameters) for tensor in request.inputs):
            return self._decode_typed(request, regions)
        request_id = request.id
        request.ClearField("raw_input_contents")
        request.ClearField("id")
        header = self._header(request)
        if len(raw) != header.raw_count:
            raise InvalidRequest(
                f"expected one raw_input_contents entry for each of {header.raw_count} inputs, received {len(raw)}"
            )
        decode = partial(_from_raw, header, raw, regions) if header.takes_long else None
        arrays = {} if decode else _from_raw(header, raw, regions)
        held = regions.hold(header.output_places) if header.output_places else None
        return Decoded(request_id, header, arrays, sum(map(len, raw)) + header.shared_bytes, held, decode)

    def _header(self, request: Any) -> Header:
        key = request.SerializeToString()
        header = self._passed.get(key)
        if header is None:
            header = self._check.check(request)
            for tensor in request.inputs:
                if has_contents(tensor):
                    raise InvalidRequest(f"input '{tensor.name}': raw and typed contents together, send one of them")
            self._keep(key, header)
        return header

    def _keep(self, key: bytes, header: Header) -> None:
        if len(self._passed) >= _HEADERS_KEPT or self._kept_bytes + len(key) > _KEPT_BYTES:
            self._passed, self._kept_bytes = {}, 0
        self._passed[key] = header
        self._kept_bytes += len(key)

    def _decode_typed(self, request: Any, regions: Regions) -> Decoded:
        header = self._check.check(request)
        takes_long = any(tensor.takes_long(typed=True) for tensor in header.inputs)
        decode = partial(_from_typed, header.inputs, request.inputs, regions) if takes_long else None
        arrays = {} if decode else _from_typed(header.inputs, request.inputs, regions)
        held = regions.hold(header.output_places) if header.output_places else None
        size = 0 if decode else header.shared_bytes + sum(map(_typed_bytes, header.inputs, request.inputs))
        return Decoded(request.id, header, arrays, size, held, decode)


def _from_raw(header: Header, raw: Sequence[bytes], regions: Regions) -> dict[str, NDArray[Any]]:
    if header.raw_count != len(header.inputs):
        raw = _with_shared(header.inputs, raw, regions)
    return {tensor.name: tensor.array(data) for tensor, data in zip(header.inputs, raw, strict=True)}


def _from_typed(inputs: Sequence[RawTensor], received: Sequence[Any], regions: Regions) -> dict[str, NDArray[Any]]:
    return {tensor.name: _typed(tensor, one, regions) for tensor, one in zip(inputs, received, strict=True)}


def _typed_bytes(tensor: RawTensor, received: Any) -> int:
    """Size of what came with the message."""
    if tensor.place is not None:
        return 0
    return int(received.ByteSize()) if tensor.datatype == "BYTES" else tensor.size


def _with_shared(inputs: Sequence[RawTensor], raw: Sequence[bytes], regions: Regions) -> list[bytes]:
    """The data of every input: what came with the message, and what is in shared memory."""
    sent = iter(raw)
    return [next(sent) if tensor.place is None else _shared(tensor, tensor.place, regions) for tensor in inputs]


def _shared(tensor: RawTensor, place: Place, regions: Regions) -> bytes:
    tensor.check_size(place.byte_size)  # first: nothing is read in vain
    return regions.read(place)


def _typed(tensor: RawTensor, received: Any, regions: Regions) -> NDArray[Any]:
    if tensor.place is not None:
        return tensor.array(_shared(tensor, tensor.place, regions))
    if received.HasField("contents"):
        return from_contents(tensor.name, tensor.datatype, tensor.shape, received.contents)
    if 0 not in tensor.shape:
        raise InvalidRequest(f"input '{tensor.name}' has neither raw nor typed contents")
    return tensor.array(b"")


def parse_request(data: bytes, most_header: int) -> tuple[Any, int]:
    """A ModelInferRequest from bytes, and how many of them are beside its data, 0 where they cannot be many.

    InvalidRequest where they are no such message, or where more than `most_header` are beside its data.
    """
    size = header_size(data, most_header) if len(data) > LEAST_BOUND else 0
    if size > most_header:
        raise header_too_large(most_header)
    return parse("ModelInferRequest", data), size


def parse_small(kind: str, data: bytes, message_class: Any = None) -> Any:
    """A message that has no tensors, one of ours or of a class; InvalidRequest where it is none, or is too large."""
    require_small(kind, data)
    return parse(kind, data, message_class)


def parse(kind: str, data: bytes, message_class: Any = None) -> Any:
    """A message of this name from bytes; InvalidRequest where they are none."""
    try:
        return (message_class or message(kind)).FromString(data)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise InvalidRequest(f"the request is no {kind}: its bytes cannot be parsed") from error
