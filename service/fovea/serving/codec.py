"""ModelInfer's messages to arrays and back: everything a request must satisfy is checked on this way, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.contract.model_card import ModelCard
from fovea.serving.headers import Header, HeaderCheck, RequestDefaults
from fovea.serving.tensors import RawTensor, from_contents
from fovea.wire import message

_HEADERS_KEPT = 1024
_LONGEST_KEPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request that has passed the door."""

    request_id: str
    header: Header
    inputs: dict[str, NDArray[Any]]
    bytes: int
    """Size of the inputs."""


class Door:
    """What one model version lets in, and how it answers. Made once per version; may be used by any thread.

    A client's requests differ in their data and hardly ever in their headers: a header that has passed is kept, and
    passes again at the price of serializing it, a fifth of that of checking it.
    """

    def __init__(self, card: ModelCard, version: int, max_batch_rows: int, defaults: RequestDefaults) -> None:
        self._check = HeaderCheck(card, version, max_batch_rows, defaults)
        self._passed: dict[bytes, Header] = {}

    def decode(self, request: Any) -> Decoded:
        """Arrays from a ModelInferRequest, without copying raw data; InvalidRequest tells expected and received.

        Takes the data and the id out of the message.
        """
        raw = list(request.raw_input_contents)
        if not raw:
            return self._decode_typed(request)
        request_id = request.id
        request.ClearField("raw_input_contents")
        request.ClearField("id")
        header = self._header(request)
        if len(raw) != len(header.inputs):
            raise InvalidRequest(
                f"expected one raw_input_contents entry for each of {len(header.inputs)} inputs, received {len(raw)}"
            )
        arrays = {tensor.name: tensor.array(data) for tensor, data in zip(header.inputs, raw, strict=True)}
        return Decoded(request_id, header, arrays, sum(map(len, raw)))

    def _header(self, request: Any) -> Header:
        key = request.SerializeToString()
        header = self._passed.get(key)
        if header is None:
            header = self._check.check(request)
            for tensor in request.inputs:
                if tensor.HasField("contents"):
                    raise InvalidRequest(f"input '{tensor.name}': raw and typed contents together, send one of them")
            if len(key) <= _LONGEST_KEPT_BYTES:
                self._keep(key, header)
        return header

    def _keep(self, key: bytes, header: Header) -> None:
        if len(self._passed) >= _HEADERS_KEPT:
            self._passed.clear()
        self._passed[key] = header

    def _decode_typed(self, request: Any) -> Decoded:
        header = self._check.check(request)
        pairs = zip(header.inputs, request.inputs, strict=True)
        arrays = {tensor.name: _typed(tensor, received) for tensor, received in pairs}
        return Decoded(request.id, header, arrays, sum(array.nbytes for array in arrays.values()))


def _typed(tensor: RawTensor, received: Any) -> NDArray[Any]:
    if received.HasField("contents"):
        return from_contents(tensor.name, tensor.datatype, tensor.shape, received.contents)
    if 0 not in tensor.shape:
        raise InvalidRequest(f"input '{tensor.name}' has neither raw nor typed contents")
    return tensor.array(b"")


def parse(kind: str, data: bytes) -> Any:
    """A message of this name from bytes; InvalidRequest where they are none."""
    try:
        return message(kind).FromString(data)
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise InvalidRequest(f"the request is no {kind}: its bytes cannot be parsed") from error
