"""What one HTTP caller can take from the others: nothing. Slow, silent, greedy and vanishing ones; the drain."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
import tritonclient.http as http_client

from certificates import authority
from fakes import FakeControl, FakeInference
from fovea import wire
from fovea.contract.errors import InvalidRequest, NotFound
from fovea.contract.tensor_spec import TensorSpec
from fovea.serving.fronts.changes import Changes
from fovea.serving.fronts.rest.app import RestApp
from fovea.serving.fronts.rest.limits import Patience, RestLimits
from fovea.serving.fronts.rest.rest_server import RestServer, RestSettings
from fovea.serving.requests.answer import Answer, AnswerForm, AnswerMaker, WantedOutput
from fovea.serving.security.tls import read_tls
from rest_calls import rest
from servers import (
    infer_request,
    running_server,
    wait_until,
)

LONG_S = 60.0
ASK = b'{"inputs": []}'
POST = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
POST_ONCE = POST.replace(b"Host", b"Connection: close\r\nHost")


def everyone(_rpc: str, _headers: Mapping[str, str]) -> None:
    pass


@contextmanager
def rest_server(
    inference: Any = None,
    *,
    connections: int = 512,
    body: int = 1 << 26,
    all_bodies: int = 1 << 30,
    patience: Patience | None = None,
    admit: Callable[..., None] = everyone,
    **more: Any,
) -> Iterator[RestServer]:
    """A server of its own in this process, before an inference that is told what to answer."""
    limits = RestLimits(body, all_bodies, 1 << 20, connections, patience or Patience())
    settings = RestSettings("127.0.0.1", 0, limits, **more)
    app = RestApp(inference or FakeInference(), FakeControl(), Changes(), admit, settings)  # type: ignore[arg-type]
    server = RestServer(settings, app.begin)
    try:
        yield server
    finally:
        server.stop(0.1)


def connect(server: RestServer, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=LONG_S)
    connection.sendall(data)
    return connection


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes; nothing where it resets."""
    with connection:
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionResetError:
            return b""


def is_cut_off(connection: socket.socket, drop: bytes) -> bool:
    """Whether a caller that sends drop by drop is."""

    def fails() -> bool:
        try:
            connection.sendall(drop)
        except OSError:
            return True
        return False

    wait_until(fails)
    return True


def live(server: RestServer) -> bool:
    with urlopen(f"http://127.0.0.1:{server.port}/v2/health/live", timeout=LONG_S) as answer:
        return bool(json.load(answer)["live"])


@pytest.mark.parametrize("data", [b"", b"GET", b"GET /v2 HTTP/1.1\r\n", b"GET /v2 HTTP/1.1\r\nHost: "])
def test_a_caller_that_does_not_say_what_it_wants_is_cut_off(data: bytes) -> None:
    with rest_server(patience=Patience(head_s=0.1)) as server:
        assert all_of(connect(server, data)) == b""
        assert live(server)


def test_a_caller_that_does_not_shake_hands_is_cut_off(tmp_path: Path) -> None:
    own = authority(tmp_path)
    patience, tls = Patience(handshake_s=0.1), read_tls(own.cert, own.key, None)
    with rest_server(patience=patience, tls=tls) as server:
        assert all_of(connect(server)) == b""


def test_a_caller_that_drips_its_headers_is_cut_off() -> None:
    with rest_server(patience=Patience(head_s=0.3)) as server, connect(server, b"GET /") as connection:
        assert is_cut_off(connection, b"x")


def test_a_caller_that_does_not_send_its_body_is_told() -> None:
    with rest_server(patience=Patience(body_s=0.1)) as server:
        answer = all_of(connect(server, POST % 100 + b"{"))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body took longer than 0.1 s" in answer


def test_a_connection_that_is_not_used_again_is_closed() -> None:
    with rest_server(patience=Patience(idle_s=0.1)) as server:
        answer = all_of(connect(server, b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert answer.endswith(b'{"live":true}')


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("data", [b"\r\n", b"\r", b"G", LIVE[:-2]])
def test_a_caller_that_begins_another_request_and_does_not_end_it_is_cut_off(data: bytes) -> None:
    with rest_server(patience=Patience(head_s=0.2)) as server, connect(server, LIVE) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(data)
        assert all_of(connection) in (b"", b'{"live":true}')


def test_a_caller_that_drips_a_body_that_nobody_wants_is_cut_off() -> None:
    patience = Patience(body_s=0.2, linger_s=0.1)
    data = POST.replace(b"/infer", b"/nothing") % 1_000_000
    with rest_server(patience=patience) as server, connect(server, data) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        assert is_cut_off(connection, b"x")


def test_after_a_body_that_nobody_wanted_a_silent_connection_is_closed_like_any_other() -> None:
    data = POST.replace(b"/infer", b"/nothing") % 3
    with rest_server(patience=Patience(idle_s=0.2)) as server, connect(server, data) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"{ }")
        assert all_of(connection) in (b"", b'{"error":"no such path: /v2/models/m/nothing"}')


def test_a_request_that_was_right_is_answered_before_a_wrong_one_behind_it_is_refused() -> None:
    inference = FakeInference()
    with rest_server(inference) as server, connect(server, POST % 2 + b"{}" + LIVE + b"NONE\r\n\r\n") as connection:
        wait_until(lambda: bool(inference.replies))
        assert live(server)
        inference.replies[0].send(NotFound("no such model"))
        answers = all_of(connection)
    assert [part[:4] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"404 ", b"200 ", b"400 "]


def test_only_a_caller_that_knows_interim_answers_gets_one() -> None:
    asked = POST.replace(b"Host", b"Expect: 100-continue\r\nConnection: close\r\nHost") % 1
    with rest_server() as server:
        with connect(server, asked) as connection:
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"{")
            assert all_of(connection).startswith(b"HTTP/1.1 400 ")
        old = asked.replace(b"HTTP/1.1", b"HTTP/1.0") + b"{"
        assert all_of(connect(server, old)).startswith(b"HTTP/1.1 400 ")


def test_a_caller_that_reads_none_of_many_small_answers_does_not_keep_its_place() -> None:
    patience = Patience(unread_s=0.3, idle_s=0.1)
    with rest_server(patience=patience, connections=1) as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", server.port))
        with suppress(OSError):
            for _ in range(20_000):
                connection.sendall(LIVE)
        wait_until(
            lambda: all_of(connect(server, b"GET /v2/health/live HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        )


def answer_of(size: int) -> Answer:
    spec = TensorSpec(name="y", datatype="UINT8", shape=(-1,))
    form = AnswerForm(AnswerMaker("m", "1", {}, batched=True), (WantedOutput(spec),))
    return Answer(form, "", [np.zeros(size, np.uint8)])


def test_a_caller_that_does_not_read_its_answer_is_cut_off() -> None:
    inference = FakeInference()
    asked = b'{"parameters": {"binary_data_output": true}}'
    with (
        rest_server(inference, patience=Patience(unread_s=0.2)) as server,
        connect(server, POST % len(asked) + asked) as connection,
    ):
        wait_until(lambda: len(inference.replies) == 1)
        (exchange,) = server.unanswered()
        inference.replies[0].send(answer_of(1 << 25))
        wait_until(lambda: exchange.over)
        assert len(all_of(connection)) < 1 << 25


def test_json_that_would_hold_up_the_others_is_refused() -> None:
    request = POST_ONCE % (1 << 21) + bytes(1 << 21)
    with rest_server() as server:
        answer = all_of(connect(server, request))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"the JSON is larger than 1048576 bytes (--max-json-mb); send tensors as binary data" in answer


def test_an_unforeseen_error_keeps_its_text_to_itself_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with rest_server(FakeInference(ValueError("password=1234"))) as server:
        answer = all_of(connect(server, POST_ONCE % len(ASK) + ASK))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert answer.endswith(b'{"error":"internal error; the server\'s log has the details"}')
        assert not server.unanswered()
        assert live(server)
    assert [record.message for record in caplog.records] == ["an unforeseen error"]


def test_a_caller_that_leaves_before_its_body_is_there_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with rest_server() as server:
        connect(server, POST % 100 + b"{").close()
        assert live(server)
    assert not caplog.records


def test_a_caller_that_leaves_is_gone_for_whoever_answers() -> None:
    inference = FakeInference()
    with rest_server(inference) as server:
        with connect(server, POST % len(ASK) + ASK):
            wait_until(lambda: len(inference.replies) == 1)
            assert not inference.replies[0].gone
        wait_until(lambda: inference.replies[0].gone)
        inference.replies[0].send(answer_of(4))  # too late for anybody
        wait_until(lambda: not server.unanswered())
        assert live(server)


def test_connections_above_the_limit_are_told_so() -> None:
    with rest_server(connections=3) as server:
        held = [connect(server) for _ in range(3)]
        answer = all_of(connect(server))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"3 connections are open, which is the limit" in answer
        for connection in held:
            connection.close()

        def is_there_room() -> bool:
            return all_of(connect(server, b"GET /v2/health/live HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

        wait_until(is_there_room)


def test_bodies_that_are_held_are_bounded_in_all() -> None:
    request = POST_ONCE % 200 + bytes(200)
    with rest_server(all_bodies=1000) as server:

        def is_refused() -> bool:
            answer = all_of(connect(server, request))
            return answer.startswith(b"HTTP/1.1 503 ") and b"bodies of 1000 bytes are held" in answer

        with connect(server, POST % 2000 + bytes(900)):
            wait_until(is_refused)
        wait_until(lambda: not is_refused())


def test_who_may_not_call_is_told_before_its_body_is_read() -> None:
    def admit(rpc: str, headers: Mapping[str, str]) -> None:
        if headers.get("authorization") != "Bearer me":
            raise InvalidRequest(f"no {rpc} for you")

    with rest_server(admit=admit) as server:
        answer = all_of(connect(server, POST_ONCE % 1_000_000))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error":"no ModelInfer for you"}')
        headers = b"Host: h\r\nAuthorization: Bearer me\r\nConnection: close\r\n\r\n"
        assert all_of(connect(server, b"GET /v2/health/live HTTP/1.1\r\n" + headers)).startswith(b"HTTP/1.1 200 ")


def test_what_the_server_does_not_have_is_told() -> None:
    with rest_server() as server:
        answer = all_of(connect(server, b"GET /v2 HTTP/1.0\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b"this server has no ServerMetadata" in answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def test_with_a_certificate_it_speaks_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(cafile=str(cert))
    with rest_server(tls=read_tls(cert, key, None)) as server:
        url = f"https://localhost:{server.port}/v2/health/live"
        with urlopen(url, timeout=LONG_S, context=context) as answer:
            assert json.load(answer) == {"live": True}
        assert not all_of(connect(server, b"GET /v2/health/live HTTP/1.1\r\n\r\n")).startswith(b"HTTP")


def test_a_flood_over_http_leaves_grpc_answering(repository: Path) -> None:
    x, end = np.ones((1, 4), np.float32), threading.Event()
    ask = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}

    def flood() -> int:
        statuses = [200]
        while not end.is_set() and set(statuses) == {200}:
            statuses.append(rest(server, "/v2/models/double/infer", ask)[0])
        return len(statuses)

    with (
        running_server(repository, "--max-http-connections=16") as server,
        grpc.insecure_channel(server.grpc) as channel,
        ThreadPoolExecutor(8) as pool,
    ):
        floods = [pool.submit(flood) for _ in range(8)]
        call = channel.unary_unary(wire.path("ModelInfer"))
        for _ in range(200):
            assert call(infer_request("double", x), timeout=20)
        end.set()
        assert all(future.result() > 1 for future in floods)


def test_models_are_loaded_and_unloaded_by_tritons_client(repository: Path) -> None:
    with (
        running_server(repository, "--control-mode=explicit", "--open-rpcs=model_control") as server,
        http_client.InferenceServerClient(server.http.removeprefix("http://")) as client,
    ):
        assert not client.is_model_ready("double")
        client.load_model("double")
        assert client.is_model_ready("double")
        client.load_model("double", config=json.dumps({"max_batch_size": 3}))
        assert client.get_model_config("double")["max_batch_size"] == 3
        client.unload_model("double")
        wait_until(lambda: not client.is_model_ready("double"))
        status, told, _ = rest(server, "/v2/repository/models/nope/load", {})
        assert (status, "nope" in told["error"]) == (404, True)
        status, told, _ = rest(server, "/v2/repository/models/double/load", {"parameters": {"file:1/model.onnx": "?"}})
        assert (status, told) == (400, {"error": "parameter 'file:1/model.onnx' must be a text in Base64"})
