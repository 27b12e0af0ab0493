"""One tensor's values between JSON and numpy."""

from __future__ import annotations

import json
import struct
from itertools import chain
from math import isfinite, prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import InvalidRequest
from fovea.raw_tensors import NUMPY_DTYPE, bytes_array
from fovea.serving.fronts.rest.json_text import NOT_FINITE, NotFinite, word
from fovea.serving.requests.tensor_data import ExpectedInput

BINARY_ONLY = tuple(name for name, facts in DATATYPES.items() if not facts.contents)
"""Datatypes that have no form in JSON."""
_BEYOND_64_BITS = 2.0**63
SHORTEST_VALUE = len("0,")
_LONGEST_VALUE = {
    "b": len("false,"),
    "f": len("-1.7976931348623157e+308,"),
    **dict.fromkeys("iu", len("-9223372036854775808,")),
}
"""By numpy's kinds."""
_WRITTEN_OUT = 1e15
"""Python writes larger ones with an exponent."""
_LONGEST_LETTER = len(r"\u0000")
_CHUNK_VALUES = 128 * 1024
"""Written at once: some 10 ms in which no other thread runs."""
_ALLOWED: dict[Kind, tuple[frozenset[type], str]] = {
    Kind.BOOLEAN: (frozenset({bool}), "true or false"),
    Kind.INTEGER: (frozenset({int}), "integers"),
    Kind.FLOAT: (frozenset({int, float, NotFinite}), "numbers"),
    Kind.TEXT: (frozenset({str}), "texts; what is no UTF-8 travels as binary data"),
}
"""Python's types that JSON values of a kind may have, and what the refusal of others says."""


class JsonValues:
    """An input's data out of JSON, flat or nested; see `fovea.serving.requests.infer_request.Values`."""

    __slots__ = ("_data",)

    def __init__(self, data: Any) -> None:
        self._data = data

    @property
    def bytes(self) -> int:
        """Bytes of the texts among the values; 0 of numbers."""
        return sum(len(value) for value in self._data if type(value) is str) if type(self._data) is list else 0

    def array(self, expected: ExpectedInput) -> NDArray[Any]:
        """InvalidRequest tells what does not fit."""
        name, datatype = expected.name, expected.datatype
        if datatype in BINARY_ONLY:
            raise InvalidRequest(f"input '{name}': {datatype} has no form in JSON, send it as binary data")
        values, types = _flat(expected, self._data)
        expected.check_count(len(values))  # first: converting millions of values holds everybody up
        try:
            return _array(expected, values, types).reshape(expected.shape)
        except (ValueError, OverflowError, struct.error) as error:
            raise InvalidRequest(f"input '{name}': a value does not fit {datatype}") from error


def _flat(expected: ExpectedInput, data: Any) -> tuple[list[Any], set[type]]:
    """The values in a row, and of which types they are."""
    name, shape = expected.name, expected.sent
    if type(data) is not list:
        raise InvalidRequest(f"input '{name}': data must be a list, received {word(type(data))}")
    sizes = [len(data)]
    while list in (types := set(map(type, data))):
        lengths = set(map(len, data)) if types == {list} else set()
        if len(lengths) != 1:
            raise InvalidRequest(f"input '{name}': data is ragged, its lists differ in their length")
        sizes.append(lengths.pop())
        data = list(chain.from_iterable(data))
    if len(sizes) > 1 and tuple(sizes) != shape and len(data) == prod(shape):
        raise InvalidRequest(f"input '{name}': expected data nested as {list(shape)} or flat, received {sizes}")
    return data, types


def _array(expected: ExpectedInput, values: list[Any], types: set[type]) -> NDArray[Any]:
    """OverflowError for a number that is too large."""
    kind = DATATYPES[expected.datatype].kind
    if kind is Kind.FLOAT and str in types:
        values = [NOT_FINITE.get(value, value) if type(value) is str else value for value in values]
        types = set(map(type, values))
    if kind is Kind.INTEGER and float in types and any(map(_was_long, values)):
        raise OverflowError
    _check(expected, types)
    if kind is Kind.FLOAT:
        return _floats(expected.datatype, values)
    if kind is Kind.TEXT:
        return bytes_array([value.encode() for value in values], (len(values),))
    return np.array(values, NUMPY_DTYPE[expected.datatype])


def _check(expected: ExpectedInput, found: set[type]) -> None:
    name, datatype = expected.name, expected.datatype
    allowed, words = _ALLOWED[DATATYPES[datatype].kind]
    if others := found - allowed:
        raise InvalidRequest(f"input '{name}': {datatype} data must be {words}, received {word(others.pop())}")


def _was_long(value: Any) -> bool:
    """Whether it may have been an integer of more than 64 bits: orjson makes floats of them."""
    return type(value) is float and abs(value) >= _BEYOND_64_BITS


def _floats(datatype: str, values: list[Any]) -> NDArray[Any]:
    """What is not finite came as a text or bare; an infinity that nobody named was a number too large."""
    doubles = np.frombuffer(struct.pack(f"{len(values)}d", *values))  # twice as fast as np.array
    with np.errstate(over="ignore"):
        numbers = doubles.astype(NUMPY_DTYPE[datatype])
    if not np.isfinite(numbers).all():
        named = list(map(type, values)).count(NotFinite)
        if np.isinf(numbers).sum() != named - np.isnan(numbers).sum():
            raise OverflowError
    return numbers


def most_json_bytes(array: NDArray[Any], enough: int) -> int:
    """What an output takes in JSON at most; looked at closely only where it might be more than `enough`."""
    if array.dtype == np.object_:
        texts = array.ravel().tolist()
        most = sum(map(len, texts)) * _LONGEST_LETTER + len(texts) * len('"",')
        return most if most <= enough else len(json_data([_shown(text) for text in texts]))
    most = array.size * _LONGEST_VALUE[array.dtype.kind]
    if most <= enough or not _are_whole(array):
        return most
    return array.size * max(len(f"-{end},") for end in (array.min().item(), array.max().item()))


def _are_whole(array: NDArray[Any]) -> bool:
    """Whether an array has numbers without fractions that are written with all their digits: none is longer than the
    least or the greatest of them.
    """
    if array.dtype.kind != "f":
        return array.dtype.kind in "iu"
    return bool(np.all((np.abs(array) < _WRITTEN_OUT) & (array == np.trunc(array))))


def _shown(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


def to_json(name: str, array: NDArray[Any]) -> bytes:
    """An output as a flat JSON list; InvalidRequest where texts are no UTF-8."""
    values, parts = array.ravel(), []
    for start in range(0, len(values), _CHUNK_VALUES):
        part = values[start : start + _CHUNK_VALUES]
        parts.append(json_data(_texts(name, part.tolist()) if part.dtype == object else _numbers(part))[1:-1])
    return b"[" + b",".join(parts) + b"]"


def json_data(value: Any) -> bytes:
    """JSON in UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _numbers(array: NDArray[Any]) -> NDArray[Any] | list[Any]:
    """What becomes the same JSON as the numbers do."""
    if array.dtype.kind != "f":
        return array
    if np.isfinite(array).all():
        return array.astype(np.float64)  # all their digits, as Python writes them
    values: list[Any] = array.tolist()
    return [value if isfinite(value) else _name_of(value) for value in values]


def _texts(name: str, elements: list[bytes | str]) -> list[str]:
    return [_text(name, element) for element in elements]


def _text(name: str, element: bytes | str) -> str:
    try:
        return element if isinstance(element, str) else element.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"output '{name}': an element is no UTF-8, ask for it with binary_data") from error


def _name_of(value: float) -> str:
    """JSON has no such numbers: answers have them as texts, as in protobuf's JSON, which numpy and JavaScript read."""
    return json.dumps(value)  # NaN, Infinity, -Infinity
