"""Variables that are empty, made by Kubernetes or mistyped: none of them keeps a server from its start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from fovea.serving.environment import of_kubernetes, remarks
from fovea.serving.settings import Settings
from servers import running_server

OF_SERVICES = {
    "FOVEA_PORT": "tcp://10.96.0.10:8001",
    "FOVEA_SERVICE_HOST": "10.96.0.10",
    "FOVEA_SERVICE_PORT": "8001",
    "FOVEA_SERVICE_PORT_GRPC": "8001",
    "FOVEA_PORT_8001_TCP": "tcp://10.96.0.10:8001",
    "FOVEA_PORT_8001_TCP_ADDR": "10.96.0.10",
    "FOVEA_PORT_8001_TCP_PORT": "8001",
    "FOVEA_PORT_8001_TCP_PROTO": "tcp",
    "FOVEA_METRICS_PORT": "tcp://10.96.0.11:8002",
    "FOVEA_METRICS_SERVICE_HOST": "10.96.0.11",
    "FOVEA_METRICS_PORT_8002_UDP_PROTO": "udp",
    "FOVEA_GRPC_PORT": "udp://10.96.0.12:8001",
    "FOVEA_SERVER_PORT": "tcp://10.96.0.13:80",
}
NO_SERVICES = {
    "FOVEA_GRPC_PORT": "8001",
    "FOVEA_HOST": "0.0.0.0",
    "FOVEA_REPORT": "8001",
    "FOVEAL_PORT": "tcp://a:1",
    "FOVEA_MAX_QUEUE": "tcp://a:1",
}


def test_what_kubernetes_makes_for_services_is_told_from_what_people_set() -> None:
    assert of_kubernetes({**OF_SERVICES, "PATH": "/bin"}) == sorted(OF_SERVICES)
    assert of_kubernetes(NO_SERVICES) == []


def test_a_link_to_a_service_or_an_empty_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**OF_SERVICES, "FOVEA_HTTP_PORT": "", "FOVEA_KERNEL_LIBRARY": "", "FOVEA_THREADS": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FOVEA_MAX_QUEUE", "7")
    read = Settings()
    assert (read.grpc_port, read.http_port, read.metrics_port, read.kernel_library) == (8001, 8000, 8002, None)
    assert read.max_queue == 7


def test_blanks_at_the_ends_of_a_variable_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEVICE": "cpu\n", "LOG_LEVEL": " error", "TLS_CERT": " ", "THREADS": "\t"}.items():
        monkeypatch.setenv(f"FOVEA_{name}", value)
    read = Settings()
    assert (read.device, read.log_level, read.tls_cert, read.threads) == ("cpu", "error", None, 0)


@pytest.mark.parametrize("name", ["FOVEA_MAX_QUEUE", "FOVEA_DEVICE", "FOVEA_LOG_LEVEL"])
def test_what_looks_like_a_link_and_is_no_port_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.96.0.10:8001")
    with pytest.raises(ValidationError, match="tcp://"):
        Settings()


def test_a_variable_that_is_no_setting_is_told_with_the_nearest_that_is_one() -> None:
    settings = ["FOVEA_MAX_QUEUE", "FOVEA_LOG_LEVEL", "FOVEA_POLL_S"]
    assert list(remarks({"FOVEA_MAXQUEUE": "1", "FOVEA_TYPO": "1", "FOVEA_LOG_LEVEL": "info"}, settings)) == [
        "FOVEA_MAXQUEUE is no setting: did you mean FOVEA_MAX_QUEUE?",
        "FOVEA_TYPO is no setting",
    ]


def test_a_server_starts_beside_services_of_its_name_and_says_what_it_passed_over(tmp_path: Path) -> None:
    with running_server(tmp_path, environment={**OF_SERVICES, "FOVEA_MAX_QUEU": "9", "FOVEA_DEVICE": ""}) as server:
        assert " ready: " in server.ready_line
        server.terminate()
    warned = [line["message"] for line in map(json.loads, server.errors) if line["logger"].endswith("process")]
    assert warned[0].startswith("passed over, since Kubernetes made them for a service: FOVEA_GRPC_PORT, ")
    assert "enableServiceLinks: false" in warned[0]
    assert warned[1] == "FOVEA_MAX_QUEU is no setting: did you mean FOVEA_MAX_QUEUE?"
