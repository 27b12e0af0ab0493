"""Requests are read without a parser where they can be, and say what the parser says, whatever bytes come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.grpc.infer_requests import RequestReader
from fovea.serving.fronts.grpc.request_fields import taken_apart
from fovea.serving.requests.infer_request import InferRequest
from fovea.serving.requests.tensor_data import ExpectedInput
from fovea.wire import message

Request = message("ModelInferRequest")
INPUT = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
CONTENTS = {**INPUT, "contents": {"fp32_contents": [1, 2, 3, 4]}}
PARAMETERS: dict[str, dict[str, Any]] = {"timeout": {"int64_param": 5}, "mine": {"string_param": "é"}, "none": {}}


def serialized(**fields: Any) -> bytes:
    return bytes(Request(**fields).SerializeToString())


FIELDS = st.sampled_from(
    [
        serialized(model_name="m"),
        serialized(model_name="another model"),
        serialized(model_version="3"),
        serialized(id="a"),
        serialized(id="é" * 100),
        b"\x1a\x00",
        b"\x1a\x02\xff\xfe",
        serialized(parameters=PARAMETERS),
        serialized(inputs=[INPUT]),
        serialized(inputs=[{**INPUT, "parameters": {"shared_memory_region": {"string_param": "r"}}}]),
        serialized(inputs=[CONTENTS]),
        serialized(outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 2}}}]),
        serialized(raw_input_contents=[b""]),
        serialized(raw_input_contents=[bytes(range(16))]),
        serialized(raw_input_contents=[bytes(300)]),
        b"\x3a\x84\x80\x80\x80\x00four",
        b"\x3a\x84\x80\x80\x80\x80\x00four",
        b"\xba\x00\x01x",
        b"\x08\x01",
        b"\xfa\x01\x03new",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a",
    ]
)
BYTES = st.lists(FIELDS, max_size=8).map(b"".join)
SPOILT = st.tuples(BYTES, st.integers(0, 10_000), st.integers(0, 255)).map(
    lambda drawn: drawn[0][: drawn[1] % (len(drawn[0]) + 1)] + bytes([drawn[2]]) + drawn[0][drawn[1] :]
)


def said(request: InferRequest) -> dict[str, Any]:
    """What a request asks for, but for values."""
    header = request.header
    inputs = [(one.name, one.datatype, one.shape, dict(one.parameters)) for one in header.inputs]
    outputs = [(one.name, dict(one.parameters)) for one in header.outputs]
    facts = {"model": header.model, "version": header.version, "id": request.id, "bytes": request.bytes}
    return {**facts, "inputs": inputs, "outputs": outputs, "parameters": dict(header.parameters)}


def parsed(data: bytes) -> Any:
    try:
        return Request.FromString(data)
    except Exception:
        return None


def require_what_the_parser_says(read: RequestReader, data: bytes) -> None:
    expected = parsed(data)
    if expected is None:
        with pytest.raises(InvalidRequest):
            read(data)
        return
    request = read(data)
    without_raw = Request.FromString(data)
    without_raw.ClearField("raw_input_contents")
    alone = RequestReader(lambda: 1 << 20)(without_raw.SerializeToString())
    assert said(request) == {**said(alone), "id": expected.id, "bytes": len(data)}
    if not request.has_values:
        assert list(request.data) == list(expected.raw_input_contents)


@given(st.lists(BYTES | SPOILT, min_size=1, max_size=3))
def test_whatever_bytes_come_they_say_what_the_parser_says_also_when_they_come_again(messages: list[bytes]) -> None:
    read = RequestReader(lambda: 1 << 20)
    for data in [*messages, *messages]:
        require_what_the_parser_says(read, data)


def like(name: str = "x", shape: tuple[int, ...] = (1, 4), raw: tuple[int, ...] = (16,), **fields: Any) -> bytes:
    one = {"name": name, "datatype": "FP32", "shape": shape}
    return serialized(model_name="m", inputs=[one], raw_input_contents=[bytes(size) for size in raw], **fields)


@pytest.mark.parametrize(
    "messages",
    [
        [like(), like(name="z"), like(shape=(4, 1))],
        [like(id="a"), like(model_version="a"), like(id="b"), like(id="é"), like(id="ab")],
        [like(raw=(4, 8)), like(raw=(8, 4)), like(raw=(14,))],
        [serialized(id="a") + like() + serialized(id="b"), serialized(id="c") + like() + serialized(id="b")],
        [like(id="a"), like(id="a").replace(b"\x1a\x01a", b"\x1a\x01\xff"), like(id="c")],
        [like() + serialized(raw_input_contents=[b"more"]), like() + serialized(model_version="more"), like()],
    ],
)
def test_requests_of_one_length_are_not_taken_for_each_other(messages: list[bytes]) -> None:
    read = RequestReader(lambda: 1 << 20)
    for data in [*messages, *messages]:
        require_what_the_parser_says(read, data)


def test_a_request_of_nothing_but_data_changes_no_other() -> None:
    read = RequestReader(lambda: 1 << 20)
    for data in (serialized(raw_input_contents=[b"x"]), typed([1.0] * 4), serialized(model_name="m", inputs=[INPUT])):
        require_what_the_parser_says(read, data)


@pytest.mark.parametrize("ids", [("", ""), ("one", "two"), ("1", "twelve")])
def test_requests_that_differ_in_their_ids_and_data_share_a_header(ids: tuple[str, str]) -> None:
    read = RequestReader(lambda: 1 << 20)
    fields = {"model_name": "m", "inputs": [INPUT], "parameters": {"timeout": {"int64_param": 5}}}
    sent = [(request_id, bytes([number]) * 16) for number, request_id in enumerate((*ids, *ids))]
    requests = [read(serialized(**fields, id=one, raw_input_contents=[data])) for one, data in sent]
    assert [(request.id, *request.data) for request in requests] == sent
    assert len({id(request.header) for request in requests}) == 1


def typed(values: list[float], shape: tuple[int, ...] = (1, 4), **fields: Any) -> bytes:
    one = {"name": "x", "datatype": "FP32", "shape": shape, "contents": {"fp32_contents": values}}
    return serialized(**{"model_name": "m", "inputs": [one], **fields})


def test_typed_requests_share_a_header_too_and_keep_their_own_values() -> None:
    read = RequestReader(lambda: 1 << 20)
    requests = [read(typed([number] * 4)) for number in (1.0, 2.0)]
    arrays = [request.data[0].array(ExpectedInput("x", "FP32", (1, 4))) for request in requests]  # type: ignore[union-attr]
    assert [array.tolist() for array in arrays] == [[[1.0] * 4], [[2.0] * 4]]
    others = [{"shape": (4, 1)}, {"model_name": "n"}, {"model_version": "1"}, {"outputs": [{"name": "y"}]}]
    others += [{"parameters": {"timeout": {"int64_param": 5}}}, {"parameters": {"timeout": {"int64_param": 6}}}]
    requests += [read(typed([1.0] * 4, **fields)) for fields in others]
    assert len({id(request.header) for request in requests}) == 1 + len(others)


def test_the_usual_request_needs_no_parser() -> None:
    data = serialized(model_name="m", id="a", inputs=[INPUT], outputs=[{"name": "y"}], raw_input_contents=[bytes(16)])
    fields = taken_apart(data)
    assert fields is not None
    assert fields.header == serialized(model_name="m", inputs=[INPUT], outputs=[{"name": "y"}])
    assert [data[part] for part in (fields.id, *fields.raw) if part] == [b"a", bytes(16)]
