"""Where `fovea health` looks for the server that the same variables start."""

from __future__ import annotations

from pathlib import Path

import pytest

from fovea.cli import main
from fovea.cli.own_server import own_address
from servers import running_server


@pytest.mark.parametrize("host", ["127.0.0.2", "0.0.0.0"])
def test_the_probe_finds_the_server_where_it_listens(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEA_HOST", host)
    with running_server(tmp_path) as server:
        monkeypatch.setenv("FOVEA_GRPC_PORT", server.grpc.rpartition(":")[2])
        assert main(["health"]) == 0


@pytest.mark.parametrize(
    ("host", "address"), [("::", "[::1]:8001"), ("::1", "[::1]:8001"), ("fovea.local", "fovea.local:8001")]
)
def test_addresses_of_any_kind_are_written_as_clients_take_them(
    host: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEA_HOST", host)
    assert own_address() == address
