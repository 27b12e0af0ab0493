"""Who is let in: tokens, TLS and certificates, on both lanes, over HTTP and at /metrics, with real clients."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.torture import http2

from certificates import Certificate, authority, signed
from fovea import wire
from fovea.cli import main
from fovea.contract.errors import Misconfigured
from fovea.serving.security.certificate_ends import first_end
from fovea.serving.security.tls import read_tls
from fovea.serving.security.token import read_tokens
from servers import RunningServer, infer_request, running_server, samples, wait_until

EXPIRY = "fovea_certificate_expiry_timestamp_seconds"
LANES = ["fast-lane", "no-fast-lane"]
RIGHT, OTHER = "s3cret-of-the-first", "s3cret-of-the-second"
HEALTH = "/grpc.health.v1.Health/Check"
INFER = "/v2/models/double/infer"
ROW = np.ones((1, 4), np.float32)
JSON_ROW = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0] * 4}]}).encode()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture(scope="module", params=LANES)
def guarded(request: pytest.FixtureRequest, repository: Path, folder: Path) -> Iterator[RunningServer]:
    """A server that asks for one of two tokens."""
    tokens = folder / "tokens"
    tokens.write_text(f"{RIGHT}\n\n  {OTHER}\n")
    flags = (f"--token-file={tokens}", "--max-message-mb=1", "--log-level=debug", "--ready-when=any")
    with running_server(repository, f"--{request.param}", *flags) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("security")


def code_of(channel: grpc.Channel, path: str, data: bytes, metadata: Any = ()) -> tuple[grpc.StatusCode, str]:
    try:
        channel.unary_unary(path)(data, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("token", [RIGHT, OTHER])
def test_each_token_of_the_file_lets_in(guarded: RunningServer, token: str) -> None:
    with triton.InferenceServerClient(guarded.grpc) as client:
        x = triton.InferInput("x", [1, 4], "FP32")
        x.set_data_from_numpy(ROW)
        answer = client.infer("double", [x], headers={"authorization": f"Bearer {token}"})
        np.testing.assert_array_equal(answer.as_numpy("y"), ROW * 2)
        assert client.get_model_metadata("double", headers={"authorization": f"bearer {token}"}).name == "double"


@pytest.mark.parametrize(
    "metadata",
    [(), bearer("guess"), bearer(RIGHT[:-1]), bearer(f"{RIGHT} {OTHER}"), (("authorization", RIGHT),), bearer("")],
)
@pytest.mark.parametrize("rpc", ["ModelInfer", "ModelMetadata", "RepositoryIndex", "NoSuchRpc"])
def test_without_the_right_token_no_rpc_is_answered_and_nothing_is_told(
    guarded: RunningServer, rpc: str, metadata: Any
) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        told = code_of(channel, wire.path(rpc), b"no message", metadata)
        assert told == (grpc.StatusCode.UNAUTHENTICATED, "this server asks for a token")


def test_a_stranger_is_refused_before_his_message_is_read(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        too_long = bytes(3 << 20)
        strange = [channel.unary_unary(wire.path("ModelInfer")).future(too_long, timeout=20) for _ in range(20)]
        known = channel.unary_unary(wire.path("ModelInfer")).future(
            infer_request("double", ROW), metadata=bearer(RIGHT), timeout=20
        )
        assert known.result()
        assert {call.exception().code() for call in strange} == {grpc.StatusCode.UNAUTHENTICATED}


def test_reflection_asks_for_the_token_too(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            next(ask(iter([question]), timeout=20))
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert next(ask(iter([question]), metadata=bearer(RIGHT), timeout=20)).list_services_response.service


def test_streams_of_requests_ask_for_the_token_too(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        stream = channel.stream_stream(wire.path("ModelStreamInfer"))
        with pytest.raises(grpc.RpcError) as caught:
            next(stream(iter([infer_request("double", ROW)]), timeout=20))
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        answer = next(stream(iter([infer_request("double", ROW)]), metadata=bearer(RIGHT), timeout=20))
        assert wire.message("ModelStreamInferResponse").FromString(answer).infer_response.model_name == "double"


def test_probes_need_no_token(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        answer = health_pb2.HealthCheckResponse.FromString(channel.unary_unary(HEALTH)(b"", timeout=20))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert code_of(channel, wire.path("ServerReady"), b"")[0] == grpc.StatusCode.OK
    for path in ("/v2/health/live", "/v2/health/ready"):
        with urlopen(guarded.http + path, timeout=20) as page:
            assert page.status == 200
    assert guarded.samples()
    assert main(["health", "--server", guarded.grpc]) == 0


@pytest.mark.parametrize(("path", "data"), [(INFER, JSON_ROW), ("/v2", None), ("/v2/repository/index", b"{}")])
def test_http_asks_for_the_same_token(guarded: RunningServer, path: str, data: bytes | None) -> None:
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": RIGHT}):
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(guarded.http + path, data, headers), timeout=20)
        with caught.value as answer:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert (answer.code, json.load(answer)) == (401, {"error": "this server asks for a token"})
    with urlopen(Request(guarded.http + path, data, {"Authorization": f"Bearer {RIGHT}"}), timeout=20) as page:
        assert page.status == 200


def test_no_token_is_ever_logged(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        for token in (RIGHT, "guess"):
            code_of(channel, wire.path("ModelInfer"), b"no message", bearer(token))
    for rpc in ("ModelInfer", "ServerMetadata"):
        send_header(guarded, rpc, b"authorization", f"Bearer {RIGHT}".encode() + b"\xff")
    assert not [line for line in guarded.errors if RIGHT in line or OTHER in line or "guess" in line]


def send_header(server: RunningServer, rpc: str, name: bytes, value: bytes) -> None:
    """In a call by hand, since no client sends such a header; back when it is answered."""
    with http2.connect(server.grpc) as connection:
        connection.sendall(http2.OPENING + http2.call(wire.path(rpc), b"", more=http2.literal(name, value)))
        answer = b""
        while b"grpc-status" not in answer:
            part = connection.recv(65536)
            assert part, answer
            answer += part


@pytest.mark.parametrize("lane", LANES)
def test_a_token_that_is_replaced_lets_in_no_longer_and_a_file_at_fault_changes_nothing(
    repository: Path, tmp_path: Path, lane: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(RIGHT)
    with running_server(repository, f"--{lane}", f"--token-file={tokens}", "--ready-when=any") as server:

        def let_in(token: str) -> bool:
            with grpc.insecure_channel(server.grpc) as channel:
                return code_of(channel, wire.path("ServerMetadata"), b"", bearer(token))[0] == grpc.StatusCode.OK

        assert let_in(RIGHT)
        tokens.write_text(OTHER)
        wait_until(lambda: let_in(OTHER) and not let_in(RIGHT))
        tokens.write_text("")
        wait_until(lambda: let_in(OTHER) and any("is empty" in line for line in server.errors))


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_key_or_token_file_that_everybody_may_read_or_change_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warns: bool
) -> None:
    tokens, certificate = tmp_path / "tokens", signed(authority(tmp_path), "localhost", tmp_path)
    tokens.write_text(RIGHT)
    for file in (tokens, certificate.key):
        file.chmod(mode)
    read_tokens(tokens)
    read_tls(certificate.cert, certificate.key, None)
    told = [f"{name} {path} is open to every user of this machine (mode {mode:04o}): chmod o-rwx {path}"
            for name, path in (("token_file", tokens), ("tls_key", certificate.key))]  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == (told if warns else [])


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "cannot be read"), ("\n \n", "is empty"), ("right\nwith blank\n", "line 2"), ("right\nü\n", "line 2")],
)
def test_a_token_file_that_cannot_be_used_ends_the_start(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "tokens"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(Misconfigured, match=told):
        read_tokens(path)


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS, and what its callers need."""

    server: RunningServer
    ca: Certificate
    caller: Certificate | None
    own: Certificate

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca.cert))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.caller:
            context.load_cert_chain(self.caller.cert, self.caller.key)
        return context

    def address(self, of: str) -> str:
        """By the name in the certificate."""
        return str(getattr(self.server, of)).replace("http://", "https://").replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Certificate:
    return authority(folder)


@pytest.fixture(scope="module", params=[(lane, mutual) for lane in LANES for mutual in (False, True)], ids=str)
def secured(request: pytest.FixtureRequest, repository: Path, folder: Path, ca: Certificate) -> Iterator[Secured]:
    lane, mutual = request.param
    own, caller = signed(ca, "localhost", folder), signed(ca, "caller", folder)
    flags = [f"--{lane}", f"--tls-cert={own.cert}", f"--tls-key={own.key}"]
    with running_server(
        repository, "--ready-when=any", *flags, *([f"--tls-client-ca={ca.cert}"] if mutual else [])
    ) as server:
        yield Secured(server, ca, caller if mutual else None, own)


def test_tritons_client_speaks_tls(secured: Secured) -> None:
    caller = secured.caller
    files = {"private_key": str(caller.key), "certificate_chain": str(caller.cert)} if caller else {}
    with triton.InferenceServerClient(
        secured.address("grpc"), ssl=True, root_certificates=str(secured.ca.cert), **files
    ) as client:
        x = triton.InferInput("x", [1, 4], "FP32")
        x.set_data_from_numpy(ROW)
        for _ in range(20):
            np.testing.assert_array_equal(client.infer("double", [x]).as_numpy("y"), ROW * 2)
        assert client.is_server_ready()


def test_tritons_http_client_speaks_tls(secured: Secured) -> None:
    files = {"certfile": str(secured.caller.cert), "keyfile": str(secured.caller.key)} if secured.caller else {}
    address = secured.address("http").removeprefix("https://")
    with triton_http.InferenceServerClient(
        address, ssl=True, ssl_options={"ca_certs": str(secured.ca.cert), **files}
    ) as client:
        x = triton_http.InferInput("x", [1, 4], "FP32")
        x.set_data_from_numpy(ROW)
        np.testing.assert_array_equal(client.infer("double", [x]).as_numpy("y"), ROW * 2)


@pytest.mark.parametrize(("of", "path", "data"), [("http", INFER, JSON_ROW), ("metrics", "", None)])
def test_http_and_metrics_speak_tls(secured: Secured, of: str, path: str, data: bytes | None) -> None:
    with urlopen(secured.address(of) + path, data, timeout=20, context=secured.context) as page:
        assert page.status == 200


def test_the_end_of_each_certificate_file_in_use_is_a_metric(secured: Secured) -> None:
    with urlopen(secured.address("metrics"), timeout=20, context=secured.context) as page:
        found = samples(page.read().decode())
    ends = {dict(labels)["file"]: value for (name, labels), value in found.items() if name == EXPIRY}
    files = {"tls_cert": secured.own.cert, **({"tls_client_ca": secured.ca.cert} if secured.caller else {})}
    assert ends == {name: first_end(file.read_bytes()) for name, file in files.items()}


def test_who_speaks_no_tls_or_trusts_another_authority_gets_nothing(secured: Secured, folder: Path) -> None:
    other = folder / "other"
    other.mkdir(exist_ok=True)
    stranger = grpc.ssl_channel_credentials(authority(other).cert.read_bytes())
    with ExitStack() as stack:
        channels = [
            stack.enter_context(channel)
            for channel in (
                grpc.insecure_channel(secured.server.grpc),
                grpc.secure_channel(secured.address("grpc"), stranger),
            )
        ]
        for channel in channels:
            assert code_of(channel, wire.path("ServerLive"), b"")[0] == grpc.StatusCode.UNAVAILABLE
    for address in (secured.server.http, secured.server.metrics):
        with pytest.raises(OSError, match=r"."):
            urlopen(f"{address}/v2", timeout=20)


def test_a_silent_caller_holds_no_scrape_up(secured: Secured) -> None:
    port = int(secured.server.metrics.rsplit(":", 1)[1].split("/")[0])
    with (
        socket.create_connection(("127.0.0.1", port)),
        urlopen(secured.address("metrics"), timeout=20, context=secured.context) as page,
    ):
        assert page.status == 200


def test_without_a_certificate_of_the_authority_mutual_tls_lets_nobody_in(secured: Secured, folder: Path) -> None:
    if secured.caller is None:
        pytest.skip("callers need none")
    other = folder / "others"
    other.mkdir(exist_ok=True)
    wrong = signed(authority(other), "caller", other)
    root = secured.ca.cert.read_bytes()
    for pair in ((None, None), (wrong.key.read_bytes(), wrong.cert.read_bytes())):
        with grpc.secure_channel(secured.address("grpc"), grpc.ssl_channel_credentials(root, *pair)) as channel:
            assert code_of(channel, wire.path("ServerLive"), b"")[0] == grpc.StatusCode.UNAVAILABLE
    context = ssl.create_default_context(cafile=str(secured.ca.cert))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for of in ("http", "metrics"):
        with pytest.raises(OSError, match=r"."):
            urlopen(secured.address(of), timeout=20, context=context)


def test_the_containers_probe_needs_no_flags(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOVEA_GRPC_PORT", secured.server.grpc.rsplit(":", 1)[1])
    assert main(["health"]) == 1
    monkeypatch.setenv("FOVEA_TLS_CERT", str(secured.own.cert))
    monkeypatch.setenv("FOVEA_TLS_KEY", str(secured.own.key))
    assert main(["health"]) == 0
    assert capsys.readouterr().out.endswith("\nserving\n")


def test_files_that_do_not_fit_are_named(folder: Path, ca: Certificate) -> None:
    one, two = signed(ca, "one", folder), signed(ca, "two", folder)
    cases = (
        ((one.cert, None, None), "tls_key is missing"),
        ((None, None, ca.cert), "tls_cert is missing"),
        ((folder / "gone.pem", one.key, None), "tls_cert .*gone.pem cannot be read: No such file"),
        ((one.cert, two.key, None), "tls_cert .*one.pem and tls_key .*two.key are no certificate and its key"),
        ((one.cert, one.key, one.key), "tls_client_ca .*one.key is no certificate"),
    )
    for files, told in cases:
        with pytest.raises(Misconfigured, match=told):
            read_tls(*files)


@pytest.mark.parametrize("lane", LANES)
def test_a_renewed_certificate_is_shown_to_new_connections_and_half_of_one_to_nobody(
    repository: Path, tmp_path: Path, ca: Certificate, lane: str
) -> None:
    (later := tmp_path / "later").mkdir()
    own, new = signed(ca, "localhost", tmp_path), signed(ca, "localhost", later)
    first = own.cert.read_text()
    with running_server(repository, f"--{lane}", f"--tls-cert={own.cert}", f"--tls-key={own.key}") as server:
        assert shown(server) == {first}
        copyfile(new.cert, own.cert)
        wait_until(lambda: shown(server) == {first} and any("no certificate and its key" in e for e in server.errors))
        copyfile(new.key, own.key)
        wait_until(lambda: shown(server) == {new.cert.read_text()})


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_ticket_ends_with_the_authority_that_let_its_caller_in(
    repository: Path, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    (later := tmp_path / "later").mkdir()
    old, new, used = authority(tmp_path), authority(later), tmp_path / "used.pem"
    own, caller, newcomer = (
        signed(old, "localhost", tmp_path),
        signed(old, "caller", tmp_path),
        signed(new, "new", later),
    )
    copyfile(old.cert, used)
    flags = (f"--tls-cert={own.cert}", f"--tls-key={own.key}", f"--tls-client-ca={used}")
    with running_server(repository, *flags) as server:
        context = client_context(old, caller, version)
        for url in (server.http, server.metrics):
            _, session = asked(url, context)
            assert asked(url, context, session)[0] is True
            copyfile(new.cert, used)
            wait_until(lambda url=url: asked(url, client_context(old, newcomer, version))[0])  # type: ignore[misc]
            assert asked(url, context, session)[0] is False
            copyfile(old.cert, used)
            wait_until(lambda url=url: asked(url, context)[0])  # type: ignore[misc]


def client_context(ca: Certificate, caller: Certificate, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = Secured(None, ca, caller, caller).context  # type: ignore[arg-type]
    context.minimum_version = context.maximum_version = version
    return context


def asked(url: str, context: ssl.SSLContext, session: Any = None) -> tuple[bool, Any]:
    """Whether an answer came on a new connection, or one that goes on with a session, and the session."""
    request = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                connection.sendall(request)
                return connection.recv(4096).startswith(b"HTTP/"), connection.session
        except OSError:
            return False, None


def shown(server: RunningServer) -> set[str]:
    """The certificates that a new connection sees on the three ports."""
    hosts = [urlsplit(address) for address in (f"//{server.grpc}", server.http, server.metrics)]
    return {ssl.get_server_certificate(("127.0.0.1", host.port or 0), timeout=20) for host in hosts}


def test_a_server_whose_files_do_not_fit_does_not_start(repository: Path, folder: Path, ca: Certificate) -> None:
    one, two = signed(ca, "one", folder), signed(ca, "two", folder)
    command = [sys.executable, "-m", "fovea.cli", "serve", f"--repository={repository}"]
    done = subprocess.run(
        [*command, f"--tls-cert={one.cert}", f"--tls-key={two.key}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "no certificate and its key" in done.stderr
