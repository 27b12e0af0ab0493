"""LogSettings: what is logged changes while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from servers import RunningServer, plain_models, running_server, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(plain_models(tmp_path_factory.mktemp("repository")), "--open-rpcs=logging") as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client
        client.update_log_settings({"log_verbose_level": 0, "log_info": True})


def refuse(client: Any, name: str) -> None:
    """A call that is refused, which a line of level debug tells."""
    with pytest.raises(InferenceServerException, match=name):
        client.get_model_metadata(name)


def logged(server: RunningServer, text: str) -> bool:
    return any(text in line for line in server.errors)


def test_the_settings_are_told(client: Any) -> None:
    told = client.get_log_settings(as_json=True)["settings"]
    assert {name: next(iter(value.values())) for name, value in told.items()} == {
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "ISO8601",
        "log_file": "",
    }


def test_more_and_less_is_logged_at_once(client: Any, server: RunningServer) -> None:
    refuse(client, "absent-1")
    client.update_log_settings({"log_verbose_level": 1})
    refuse(client, "absent-2")
    wait_until(lambda: logged(server, "absent-2"))
    client.update_log_settings({"log_verbose_level": 0})
    refuse(client, "absent-3")
    client.update_log_settings({"log_verbose_level": 1, "log_info": False})
    refuse(client, "absent-4")
    wait_until(lambda: logged(server, "absent-4"))
    assert not logged(server, "absent-1")
    assert not logged(server, "absent-3")


@pytest.mark.parametrize("named", ["default", "ISO8601"])
def test_tritons_names_of_formats_are_taken_and_lines_stay_json(client: Any, named: str) -> None:
    told = client.update_log_settings({"log_format": named}, as_json=True)["settings"]
    assert told["log_format"]["string_param"] == "ISO8601"


def test_info_can_be_switched_off(tmp_path: Path) -> None:
    with (
        running_server(plain_models(tmp_path), "--open-rpcs=logging") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        client.update_log_settings({"log_info": False})
        assert server.terminate() == 0
    assert logged(server, "is ready")
    assert not logged(server, "draining")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"log_file": "/etc/passwd"}, "cannot be changed over the network"),
        ({"log_format": "text"}, "received 'text'"),
        ({"colour": True}, "unknown log setting 'colour'"),
        ({"log_verbose_level": 2, "log_info": None}, "received nothing"),
    ],
)
def test_settings_that_cannot_be_are_told_and_change_nothing(client: Any, asked: dict[str, Any], told: str) -> None:
    before = client.get_log_settings(as_json=True)
    with pytest.raises(InferenceServerException, match=told):
        client.update_log_settings(asked)
    assert client.get_log_settings(as_json=True) == before
