"""What a connection may take: compression, limits of messages and metadata, streams, and pings, on both lanes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import helper

from fovea import wire
from servers import RunningServer, infer_request, running_server, save_model, tensor

LANES = ["fast-lane", "no-fast-lane"]
INFER = wire.path("ModelInfer")
LONG_S = 60.0
ROW = np.ones((1, 4), np.float32)
ALL_SIZES = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def peak_kb(server: RunningServer) -> int:
    """The most memory that the process ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_a_small_message_that_unpacks_beyond_the_limit_is_refused_and_takes_no_memory(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc, options=ALL_SIZES) as channel:
        call = channel.unary_unary(INFER)
        call(infer_request("double", ROW), timeout=20)
        before_kb = peak_kb(server)
        bombs = [
            call.future(bytes(64 << 20), compression=algorithm, timeout=LONG_S)
            for algorithm in (grpc.Compression.Gzip, grpc.Compression.Deflate)
        ]
        neighbour = call.future(infer_request("double", ROW), timeout=LONG_S)
        assert {bomb.exception().code() for bomb in bombs} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert neighbour.result()
        assert peak_kb(server) - before_kb < 16 << 10


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_understood(server: RunningServer, algorithm: str) -> None:
    with triton.InferenceServerClient(server.grpc) as client:
        x = triton.InferInput("x", [1, 4], "FP32")
        x.set_data_from_numpy(ROW)
        answer = client.infer("double", [x], compression_algorithm=algorithm)
        np.testing.assert_array_equal(answer.as_numpy("y"), ROW * 2)


@pytest.fixture(scope="module", params=[(lane, kind) for lane in LANES for kind in ("gzip", "deflate")], ids=str)
def packing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that compresses its answers, and how these then begin."""
    lane, kind = request.param
    repository = tmp_path_factory.mktemp("packing")
    save_model(
        repository,
        "wide",
        [helper.make_node("Neg", ["x"], ["y"])],
        [tensor("x", ["n", 4096])],
        [tensor("y", ["n", 4096])],
    )
    with running_server(repository, f"--{lane}", f"--compression={kind}") as server:
        yield server, {"gzip": b"\x1f\x8b", "deflate": b"\x78\x9c"}[kind]


def test_answers_are_compressed_as_the_setting_says_where_the_caller_accepts_it(packing: Any) -> None:
    server, begin = packing
    request = infer_request("wide", np.zeros((1, 4096), np.float32))
    as_it_comes, accepts_none = ("grpc.per_message_decompression", 0), ("grpc.compression_enabled_algorithms_bitset", 1)
    answers = []
    for options in ([as_it_comes], [as_it_comes, accepts_none], []):
        with grpc.insecure_channel(server.grpc, options=options) as channel:
            answers.append(channel.unary_unary(INFER)(request, timeout=20))
    packed, plain, unpacked = answers
    assert packed.startswith(begin)
    assert len(packed) < 1000
    assert plain == unpacked
    (raw,) = wire.message("ModelInferResponse").FromString(plain).raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(raw, np.float32), np.zeros(4096, np.float32))


def test_a_header_bomb_is_refused_and_its_neighbours_are_answered(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(INFER)
        bomb = tuple((f"bomb-{number}", "x" * 1000) for number in range(100))
        small = (("note", "x" * 8000),)
        futures = [
            call.future(infer_request("double", ROW), metadata=how, timeout=20) for how in (bomb, small, bomb, ())
        ]
        codes = [future.code() for future in futures]
    refused, fine = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OK
    assert codes == [refused, fine, refused, fine]


@pytest.mark.parametrize("lane", LANES)
def test_calls_beyond_the_limit_of_a_connection_wait_at_the_caller(repository: Path, lane: str) -> None:
    end = threading.Event()

    def silence() -> Iterator[bytes]:
        end.wait(LONG_S)
        yield from ()

    with (
        running_server(repository, f"--{lane}", "--max-streams=2") as server,
        grpc.insecure_channel(server.grpc) as channel,
        grpc.insecure_channel(server.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as another,
    ):
        grpc.channel_ready_future(channel).result(20)
        silent = [channel.stream_unary(INFER).future(silence(), timeout=LONG_S) for _ in range(2)]
        third = channel.unary_unary(INFER).future(infer_request("double", ROW), timeout=LONG_S)
        assert another.unary_unary(INFER)(infer_request("double", ROW), timeout=20)
        assert not third.done()
        silent[0].cancel()
        assert third.result()
        silent[1].cancel()
        end.set()


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What an HTTP/2 client says first: a preface, and empty settings."""
PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"are you?"
PONG = bytes([0, 0, 8, 6, 1, 0, 0, 0, 0]) + b"are you?"


def said_to(server: RunningServer, data: bytes, last: bytes) -> bytes:
    """What the server says, as far as `last` or until it closes the connection."""
    said = b""
    with socket.create_connection(("127.0.0.1", int(server.grpc.rsplit(":", 1)[1])), timeout=15) as connection:
        connection.sendall(data)
        while last not in said and (more := connection.recv(4096)):
            said += more
    return said


def test_who_pings_more_often_than_the_setting_allows_is_cut_off(server: RunningServer, repository: Path) -> None:
    assert b"too_many_pings" in said_to(server, HELLO + PING * 10, b"too_many_pings")
    with running_server(repository, "--min-ping-s=0") as patient:
        assert b"too_many_pings" not in said_to(patient, HELLO + PING * 10, PONG * 10)


def test_tritons_client_may_keep_its_connection_alive(server: RunningServer) -> None:
    options = triton.KeepAliveOptions(keepalive_time_ms=10_000, keepalive_permit_without_calls=True)
    with triton.InferenceServerClient(server.grpc, keepalive_options=options) as client:
        assert client.is_server_live()


def test_a_peer_that_has_vanished_loses_its_connection(repository: Path) -> None:
    with running_server(repository, "--keepalive-s=0.2", "--keepalive-timeout-s=0.2") as server:
        assert b"ping_timeout" in said_to(server, HELLO, b"ping_timeout")
