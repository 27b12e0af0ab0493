"""JSON from a stranger: what is no strict JSON is refused with its reason, and facts are taken out by type."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, TypeVar

import orjson

from fovea.contract.errors import InvalidRequest
from fovea.serving.plain_words import WORDS

T = TypeVar("T")


class NotFinite(float):
    """A NaN, Infinity or -Infinity. JSON has none, yet Python's json writes them, and so do Triton's clients."""

    __slots__ = ()


NOT_FINITE = {name: NotFinite(name) for name in ("NaN", "Infinity", "-Infinity")}
"""By name: one object each, however many there are in a text."""
_MOST_PARTS = 200_000
"""Lists and objects. Each costs the parser, which lets nobody else run, as much as ten numbers: so many, 0.2 s."""
_MARKS = (b",", b"[", b"{", b"\\")
"""What separates values, opens lists and objects, or escapes a character: Base64 has none of them."""
_MOST_MARKS = 64 * 1024
"""With so many, parsing takes 10 ms."""
_KEY_END = re.compile(rb'"\s*:')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_WORDS: dict[type, str] = {**WORDS, type(None): "null", NotFinite: "NaN or Infinity"}


def word(kind: type) -> str:
    """What people call a JSON value of this Python type."""
    return _WORDS[kind]


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object from UTF-8; an empty body is an empty object. InvalidRequest tells what is wrong where."""
    if not data:
        return {}
    value = _parse(data)
    if not isinstance(value, dict):
        raise InvalidRequest(f"expected a JSON object, received {word(type(value))}")
    return value


def parse_files(data: bytes) -> dict[str, Any]:
    """The same from much JSON, if it is much only by long texts such as files in Base64, which cost 2 ms a megabyte."""
    marks = sum(data.count(mark) for mark in _MARKS)
    if marks > _MOST_MARKS:
        raise InvalidRequest(
            f"the JSON has more than {_MOST_MARKS} of the characters {' '.join(map(chr, b''.join(_MARKS)))}"
        )
    return parse_object(data)


def _parse(data: bytes) -> Any:
    """By orjson, which is five times as fast as Python's json, where it is sure that both would read the same."""
    if len(data) > _MOST_PARTS and data.count(b"[") + data.count(b"{") > _MOST_PARTS:
        raise InvalidRequest(f"the JSON has more than {_MOST_PARTS} '[' and '{{'; send tensors flat, or as binary data")
    try:
        value = orjson.loads(data)
        if _has_each_key_once(value, data):
            return value
    except (orjson.JSONDecodeError, RecursionError):  # NaN, say, or no JSON: the other one says what is wrong where
        pass
    return _parse_strictly(data)


def _has_each_key_once(value: Any, data: bytes) -> bool:
    """Whether no object has a key twice, of which orjson keeps the last; False where that cannot be told.

    Each key is followed by a colon, and so may be letters of a text; what looks like a key's end is rarer there.
    """
    keys = _keys(value)
    return keys == data.count(b":") or keys == len(_KEY_END.findall(data))


def _keys(value: Any) -> int:
    """How many keys the objects have, but for those in lists that begin with no object."""
    if type(value) is dict:
        return len(value) + sum([_keys(one) for one in value.values() if type(one) is dict or type(one) is list])
    return sum(map(_keys, value)) if type(value) is list and value and type(value[0]) is dict else 0


def _parse_strictly(data: bytes) -> Any:
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=NOT_FINITE.__getitem__)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise InvalidRequest(f"the JSON is no UTF-8: {error.reason}") from error  # type: ignore[attr-defined]
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("the JSON is nested too deeply") from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise InvalidRequest("the JSON has a number of too many digits") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidRequest(f"the JSON has the key '{twice}' twice in one object")
    return found


def take(facts: dict[str, Any], key: str, kind: type[T], where: str = "") -> T:
    """The value of a key, empty where there is none or null; InvalidRequest where it is of another kind."""
    value = facts.get(key)
    if value is None:
        return kind()
    if type(value) is not kind:
        raise InvalidRequest(f"{where}'{key}' must be {word(kind)}, received {word(type(value))}")
    return value
