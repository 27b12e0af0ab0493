"""Clients and commands where the server wants TLS, a certificate or a token: against gRPC's own secured server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from certificates import Certificate, authority, signed
from fovea import wire
from fovea.cli import main
from fovea.client import ONCE
from fovea.contract.errors import Unauthenticated, Unavailable

TOKEN = "s3cret"
SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
ANSWERS = {
    "/grpc.health.v1.Health/Check": SERVING,
    wire.path("ServerReady"): wire.message("ServerReadyResponse")(ready=True).SerializeToString(),
}


class Guarded(grpc.GenericRpcHandler):
    """Answers whoever brings the token."""

    def service(self, details: Any) -> Any:
        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if ("authorization", f"Bearer {TOKEN}") not in context.invocation_metadata():
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            return ANSWERS[details.method]

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Certificate:
    return authority(folder)


@pytest.fixture(scope="module", params=[False, True], ids=["TLS", "mutual TLS"])
def secured(request: pytest.FixtureRequest, ca: Certificate, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """An address, and what a client needs to get through to it, but for the token."""
    mutual = request.param
    own = signed(ca, "fovea.example", folder)
    pair = [(own.key.read_bytes(), own.cert.read_bytes())]
    credentials = grpc.ssl_server_credentials(pair, ca.cert.read_bytes() if mutual else None, mutual)
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Guarded()])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    needed: dict[str, Any] = {"tls_ca": ca.cert, "tls_name": "fovea.example"}
    if mutual:
        caller = signed(ca, "caller", folder)
        needed |= {"tls_cert": caller.cert, "tls_key": caller.key}
    yield f"127.0.0.1:{port}", needed
    server.stop(None).wait()


def test_a_client_with_all_that_is_asked_for_is_answered(connect: Any, secured: Any) -> None:
    address, needed = secured
    with connect(address, token=TOKEN, **needed) as client:
        assert client.ready()
        assert client.healthy()


@pytest.mark.parametrize("token", ["", "guess"])
def test_a_client_without_the_token_is_told_so(connect: Any, secured: Any, token: str) -> None:
    address, needed = secured
    with connect(address, token=token, **needed) as client, pytest.raises(Unauthenticated, match="who are you"):
        client.ready()


@pytest.mark.parametrize("missing", ["tls_name", "tls_ca"])
def test_a_server_that_cannot_be_trusted_is_not_talked_to(connect: Any, secured: Any, missing: str) -> None:
    address, needed = secured
    kept = {name: value for name, value in needed.items() if name != missing}
    with connect(address, retry=ONCE, token=TOKEN, **kept) as client, pytest.raises(Unavailable, match=address):
        client.ready()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def words_of(needed: dict[str, Any]) -> list[str]:
    return [word for name, value in needed.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_the_commands_take_the_same_as_flags(secured: Any, token_file: Path) -> None:
    address, needed = secured
    asked = ["health", "--server", address, *words_of(needed)]
    assert [main([*asked, "--token-file", str(token_file)]), main(asked)] == [0, 1]


def test_the_token_file_may_be_told_by_a_variable(
    secured: Any, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, needed = secured
    monkeypatch.setenv("FOVEA_TOKEN_FILE", str(token_file))
    assert main(["health", "--server", address, *words_of(needed)]) == 0


@pytest.mark.parametrize("command", ["health", "models", "doctor", "infer m picture.png"])
@pytest.mark.parametrize("flag", ["tls", "tls-ca", "tls-name", "tls-cert", "tls-key", "token-file"])
def test_every_command_that_asks_a_server_has_the_flags(
    capsys: pytest.CaptureFixture[str], command: str, flag: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    assert f"--{flag} " in capsys.readouterr().out.replace("]", " ").replace(",", " ")


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read: No such file"), (" \n", "is empty")])
def test_a_token_file_without_a_token_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None, told: str
) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    assert main(["models", "--server", "127.0.0.1:1", "--token-file", str(path)]) == 1
    assert told in capsys.readouterr().err


def test_a_command_without_the_token_tells_what_the_server_says(
    secured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    address, needed = secured
    assert main(["models", "--server", address, *words_of(needed)]) == 1
    assert "who are you" in capsys.readouterr().err
