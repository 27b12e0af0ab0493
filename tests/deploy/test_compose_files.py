"""docker-compose.yml as a file: what every service has, without an engine. `make test-containers` brings it up."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVER = yaml.safe_load((ROOT / "deploy/compose/server.yml").read_text())["services"]["server"]
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = {
    name: (SERVER if "extends" in service else {}) | service for name, service in FILE["services"].items()
}
PROFILES = ("cpu", "gpu", "scale")


def started(profile: str) -> dict[str, dict[str, Any]]:
    """The services that come up with a profile."""
    return {name: one for name, one in SERVICES.items() if profile in one.get("profiles", [profile])}


def test_plain_up_starts_the_cpu_profile() -> None:
    assert "COMPOSE_PROFILES=cpu" in (ROOT / ".env").read_text().splitlines()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_one_service_that_publishes_the_servers_ports(profile: str) -> None:
    published = [
        re.search(r":(\d+):\d+$", port)[1]  # type: ignore[index]
        for service in started(profile).values()
        for port in service.get("ports", [])
    ]
    assert sorted(published) == ["3000", "8000", "8001", "8002", "9090"]


def test_ports_are_published_on_this_machine_unless_asked_otherwise() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("${FOVEA_PUBLISH:-127.0.0.1}:") for port in ports)


def test_every_server_extends_the_one_definition() -> None:
    extended = {"file": "deploy/compose/server.yml", "service": "server"}
    assert [name for name, one in SERVICES.items() if one.get("extends") == extended] == [
        "fovea",
        "fovea-gpu",
        "replica",
    ]


def test_tokens_reach_every_server_as_a_file() -> None:
    given = yaml.safe_load((ROOT / "deploy/compose/tokens.yml").read_text())
    (secret,) = given["secrets"]
    assert set(given["services"]) == {name for name, one in SERVICES.items() if "extends" in one}
    for service in given["services"].values():
        assert service["secrets"] == [secret]
        assert service["environment"] == {"FOVEA_TOKEN_FILE": f"/run/secrets/{secret}"}


def test_readme_has_every_variable() -> None:
    files = (ROOT / "docker-compose.yml", *(ROOT / "deploy/compose").glob("*.yml"))
    asked = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text())}
    assert {name for name in asked if f"`{name}`" not in (ROOT / "README.md").read_text()} == set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_guarded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"cpus", "mem_limit", "pids_limit"} <= set(service)
    assert "privileged" not in service


@pytest.mark.parametrize("name", [name for name, one in SERVICES.items() if "extends" not in one])
def test_a_service_that_others_made_has_a_version_and_says_when_it_is_well(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+\}$", SERVICES[name]["image"])
    assert "start_period" in SERVICES[name]["healthcheck"]


def test_the_servers_image_asks_its_health_and_runs_as_a_number() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert re.search(r'HEALTHCHECK .*--start-period=\d+s .*CMD \["fovea", "health"\]', dockerfile)
    assert "\nUSER 10001\n" in dockerfile


def test_what_is_mounted_is_there_and_read_only() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [re.fullmatch(r"(?:\$\{FOVEA_MODELS:-)?(\./[^:}]*)\}?:.*", mount) for mount in mounts]
    assert all(
        mount.endswith(":ro") and (ROOT / found[1]).exists()
        for mount, found in zip(mounts, files, strict=True)
        if found
    )
    assert sum(found is not None for found in files) == 7


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker compose")
def test_compose_takes_every_profile(profile: str) -> None:
    if subprocess.run(("docker", "compose", "version"), capture_output=True, check=False).returncode:
        pytest.skip("needs docker compose")
    command = ("docker", "compose", "--env-file", "/dev/null", "--profile", profile, "config", "--services")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == set(started(profile))
