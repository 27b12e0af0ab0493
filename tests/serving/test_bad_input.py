"""What bad input gets: every row of the protocol's table that concerns these RPCs, over a real socket."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from bad_requests import BAD_REQUESTS, INVALID, ROW, infer


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_gets_its_code_and_a_text_that_tells_what_was_expected(client: Any, case: str) -> None:
    request, code, words = BAD_REQUESTS[case]
    with pytest.raises(grpc.RpcError) as caught:
        client("ModelInfer", **request)
    assert caught.value.code() == code, caught.value.details()
    assert all(word in caught.value.details() for word in words), caught.value.details()
    assert client("ModelInfer", **infer()).raw_output_contents == [(ROW * 2).tobytes()]


@pytest.mark.parametrize("raw", [[], [b""], [ROW.tobytes()[:-1]], [ROW.tobytes()] * 2])
def test_a_header_that_passed_before_does_not_let_bad_data_in(client: Any, raw: list[bytes]) -> None:
    for _ in range(2):
        assert client("ModelInfer", **infer()).raw_output_contents == [(ROW * 2).tobytes()]
        with pytest.raises(grpc.RpcError) as caught:
            client("ModelInfer", **infer(raw_input_contents=raw))
        assert caught.value.code() == INVALID


def test_more_headers_than_are_kept_are_all_answered(client: Any) -> None:
    for index in range(1500):
        parameters = {f"mine {index}": {"int64_param": index}}
        assert client("ModelInfer", **infer(parameters=parameters)).raw_output_contents == [(ROW * 2).tobytes()]


UNKNOWN_FIELDS = b"\xfa\x01\x00" * 30_000


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "ModelReady", "ModelMetadata", "RepositoryIndex"])
def test_a_request_that_is_too_large_for_its_kind_is_refused_before_it_is_parsed(client: Any, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.send(method, UNKNOWN_FIELDS)
    assert caught.value.code() == INVALID
    assert caught.value.details() == f"expected a {method}Request of at most 65536 bytes, received 90000"


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata"])
def test_bytes_that_are_no_message_are_refused(client: Any, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.send(method, b"\xff\xff\xff\xffgarbage")
    assert caught.value.code() == INVALID


def test_a_message_above_the_limit_is_refused_and_the_next_is_answered(client: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.send("ModelInfer", bytes(2 << 20))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client("ModelInfer", **infer()).raw_output_contents


@pytest.mark.parametrize(
    ("method", "fields", "code"),
    [
        ("ModelMetadata", {"name": "nope"}, grpc.StatusCode.NOT_FOUND),
        ("ModelMetadata", {"name": "double", "version": "x"}, INVALID),
        ("ModelMetadata", {"name": "damaged"}, grpc.StatusCode.UNAVAILABLE),
        ("ModelConfig", {"name": "double", "version": "9"}, grpc.StatusCode.NOT_FOUND),
        ("ModelReady", {"name": "double", "version": "x"}, INVALID),
        ("ModelStatistics", {"name": "nope"}, grpc.StatusCode.NOT_FOUND),
        ("RepositoryIndex", {"repository_name": "other"}, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_other_calls_refuse_in_the_same_way(
    client: Any, method: str, fields: dict[str, str], code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client(method, **fields)
    assert caught.value.code() == code
