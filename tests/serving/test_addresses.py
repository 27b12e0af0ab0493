"""Where a server can be reached: on both families, and through unix sockets."""

from __future__ import annotations

import json
import signal
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from fovea.contract.errors import Misconfigured
from fovea.serving.fronts.unix_sockets import cleared
from raw_client import RawClient
from servers import running_server

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def port_of(url: str) -> int:
    return int(urlsplit(url if "//" in url else f"//{url}").port or 0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(("host", "families"), [("::", ("127.0.0.1", "::1")), ("localhost", ("127.0.0.1",))])
def test_a_host_is_listened_on_in_all_its_families_on_all_ports(
    repository: Path, host: str, families: tuple[str, ...]
) -> None:
    with running_server(repository, f"--host={host}", "--control-mode=explicit") as server:
        for url in (server.grpc, server.http, server.metrics):
            for address in families:
                socket.create_connection((address, port_of(url)), timeout=20).close()


def over_http(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(20)
        caller.connect(str(path))
        caller.sendall(LIVE)
        return b"".join(iter(lambda: caller.recv(65536), b""))


@pytest.mark.parametrize("lane", ["fast-lane", "no-fast-lane"])
def test_both_services_are_reached_through_unix_sockets_also_after_a_server_that_was_killed(
    repository: Path, tmp_path: Path, lane: str
) -> None:
    flags = (f"--{lane}", f"--unix-sockets={tmp_path}", "--control-mode=explicit", "--load-models=double")
    with running_server(repository, *flags) as killed:
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait(20)
    assert {path.name for path in tmp_path.iterdir()} == {"grpc.sock", "http.sock"}
    with running_server(repository, *flags) as server:
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert json.loads(over_http(tmp_path / "http.sock").rpartition(b"\r\n\r\n")[2]) == {"live": True}
        with grpc.insecure_channel(f"unix:{tmp_path}/grpc.sock") as channel:
            assert RawClient(channel)("ServerReady").ready
        with pytest.raises(Misconfigured, match="another server does"):
            cleared(tmp_path, "grpc.sock")
        server.process.terminate()
        assert server.process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_socket_of_a_server_that_takes_nobody_in_is_left_to_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as waiting:
        server.bind(str(tmp_path / "http.sock"))
        server.listen(0)
        waiting.connect(str(tmp_path / "http.sock"))
        with pytest.raises(Misconfigured, match="cannot listen on"):
            cleared(tmp_path, "http.sock")
    assert (tmp_path / "http.sock").is_socket()


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "http.sock").write_text("mine")
    with pytest.raises(Misconfigured, match="it is a file, and no socket"):
        cleared(tmp_path, "http.sock")
    assert (tmp_path / "http.sock").read_text() == "mine"
