"""JSON is read fast, and as strictly as by Python's own parser: what the fast one lets pass is looked at again."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.json_text import parse_object

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(LEAVES, lambda of: st.lists(of, max_size=4) | st.dictionaries(TEXTS, of, max_size=4))


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_an_object_is_what_was_written(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": {"b": 1, "b": 2}}', "b"),
        ('{"a": [{"b": 1, "c": 1, "b": 2}]}', "b"),
        ('{"a": [1, {"b": 1, "b": 2}]}', "b"),
        ('{"a:": ":", "x" : "b\\":", "a:": 1}', "a:"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"a": "http://here", "c": 1, "c": ":"}', "c"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_wherever_it_is(text: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"the key '{key}' twice in one object"):
        parse_object(text.encode())


@pytest.mark.parametrize(
    "text", ['{"a": "x:y", "b": "\\":\\""}', '{"a": "http://b:1/", "c": {"d" : ["e:", {"f": ":"}]}}']
)
def test_colons_in_texts_are_no_keys(text: str) -> None:
    assert parse_object(text.encode()) == json.loads(text)


def test_numbers_that_json_does_not_have_are_read_as_python_and_tritons_clients_write_them() -> None:
    found = parse_object(b'{"a": [NaN, Infinity, -Infinity, 1.5]}')["a"]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 1.5]
