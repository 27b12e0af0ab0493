"""Both clients against a real server: the same calls, the same answers, the same errors."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fovea.client import ONCE, AsyncClient, Client, Retry
from fovea.contract.errors import (
    DeadlineExceeded,
    FoveaError,
    InvalidRequest,
    Misconfigured,
    NotFound,
    Unavailable,
)
from servers import RunningServer, held_up, running_server, total, wait_until
from simam_version import images, simam

ROW = np.arange(4, dtype=np.float32)[None]
SLOW_ROWS = np.zeros((8, 256), np.float32)
PATIENT = Retry(attempts=1000, first_pause_s=0.1, longest_pause_s=0.5)


def ended(server: RunningServer, model: str, outcome: str) -> float:
    """How many requests of a model ended so, by the server's own count."""
    return total(server.samples(), "fovea_requests_total", model=model, outcome=outcome)


def test_arrays_go_in_and_come_out(client: Any) -> None:
    answer = client.infer("double", {"x": ROW}, request_id="a7")
    assert (answer.model, answer.version, answer.request_id) == ("double", "1", "a7")
    np.testing.assert_array_equal(answer.outputs["y"], ROW * 2)
    np.testing.assert_array_equal(answer["y"], ROW * 2)


@pytest.mark.parametrize(
    ("model", "x", "y"),
    [
        ("texts", np.array([["a", b"b\0"]], np.object_), [[b"a", b"b\0"]]),
        ("texts", np.array([["später", ""]]), [["später".encode(), b""]]),
        ("half", np.array([[1.5, -2]], np.float16), [[1.5, -2]]),
        ("integers8", np.array([[-128, 127]], np.int8), [[-128, 127]]),
        ("single", np.array([1, 2, 3], ">f4"), [-1, -2, -3]),
        ("double", np.ones((2, 8), np.float32)[:, ::2], [[2] * 4] * 2),
    ],
)
def test_every_kind_of_array_is_answered(client: Any, model: str, x: np.ndarray, y: list[Any]) -> None:
    assert client.infer(model, {"x": x})["y"].tolist() == y


def test_maps_are_named_by_their_layer_and_labels_by_their_output(client: Any) -> None:
    picture = images(2)
    features, weights = simam(picture)
    answer = client.infer("simam", {"image": picture}, ["features", "attention.block"])
    np.testing.assert_allclose(answer.outputs["features"], features, atol=1e-4)
    np.testing.assert_allclose(answer.maps["block"], weights, atol=1e-4)
    assert answer["attention.block"] is answer.maps["block"]
    assert answer.labels == ()


def test_classes_come_with_score_and_label_best_first(client: Any) -> None:
    picture = images(2)
    picture[0, 0, 0, 0] = 100
    answer = client.infer("simam", {"image": picture}, ["features", "attention.block"], top=3)
    first, second = answer.classes["features"]
    assert [len(first), len(second)] == [3, 3]
    assert (first[0].label, first[0].index) == ("top left", 0)
    assert first[0].score == pytest.approx(simam(picture)[0][0, 0, 0, 0], rel=1e-4)
    assert [one.score for one in second] == sorted((one.score for one in second), reverse=True)
    assert answer.labels == ("top left", second[0].label)
    assert answer.maps["block"].shape == picture.shape


def test_top_without_an_output_is_refused_before_anything_is_sent(client: Any) -> None:
    with pytest.raises(InvalidRequest, match="name of the output"):
        client.infer("simam", {"image": images(1)}, top=3)


def test_the_server_tells_of_itself(client: Any) -> None:
    info = client.metadata("double")
    assert ([tensor.name for tensor in info.inputs], info.outputs[0].shape) == (["x"], (-1, 4))
    assert {("double", "READY"), ("damaged", "UNAVAILABLE")} <= {(one.name, one.state) for one in client.models()}
    client.infer("double", {"x": ROW})
    (found,) = client.statistics("double")
    assert found.rows >= 1
    assert found.totals["success"].count >= 1
    assert found.totals["success"].seconds > 0
    assert found.batch_s[1] > 0
    assert (client.server().name, "statistics" in client.server().extensions) == ("triton", True)
    assert [client.ready(), client.ready("double"), client.ready("damaged")] == [True, True, False]
    assert [client.healthy(), client.healthy("double"), client.healthy("damaged")] == [True, True, False]
    assert (client.check("damaged"), client.healthy("nobody")) == (False, False)
    with pytest.raises(NotFound):
        client.check("nobody")


def test_models_are_loaded_and_unloaded(connect: Any, quick: Path) -> None:
    flags = ("--control-mode=explicit", "--open-rpcs=model_control")
    with running_server(quick, *flags) as server, connect(server.grpc, retry=ONCE) as client:
        with pytest.raises(Unavailable):
            client.infer("double", {"x": ROW})
        client.load("double", {"max_batch_size": 2}, timeout_s=60)
        with pytest.raises(InvalidRequest, match="1 to 2 rows"):
            client.infer("double", {"x": np.repeat(ROW, 3, axis=0)})
        client.unload("double")
        assert [one.state for one in client.models() if one.name == "double"] == ["UNAVAILABLE"]
        file = (quick / "double" / "1" / "model.onnx").read_bytes()
        client.load("sent", {"backend": "onnxruntime"}, {"1/model.onnx": file})
        assert client.ready("sent")


@pytest.mark.parametrize(
    ("model", "x", "kind", "told"),
    [
        ("nobody", ROW, NotFound, "nobody"),
        ("double", ROW.astype(np.float64), InvalidRequest, "expected FP32"),
        ("double", ROW * 1j, InvalidRequest, "complex"),
    ],
)
def test_errors_are_foveas_own(client: Any, model: str, x: Any, kind: type[FoveaError], told: str) -> None:
    with pytest.raises(kind, match=told):
        client.infer(model, {"x": x})


def test_a_version_that_is_not_ready_is_unavailable_with_its_reason(connect: Any, server: RunningServer) -> None:
    with connect(server.grpc, retry=ONCE) as client, pytest.raises(Unavailable, match="UNAVAILABLE"):
        client.infer("damaged", {"x": ROW})


def test_a_call_ends_at_its_deadline(client: Any, server: RunningServer) -> None:
    before = ended(server, "endless", "deadline")
    with pytest.raises(DeadlineExceeded):
        client.infer("endless", {"x": np.full((1, 4), 1e9, np.float32)}, timeout_s=0.5)
    wait_until(lambda: ended(server, "endless", "deadline") > before)


def test_a_wait_for_a_batch_has_its_own_limit(connect: Any, server: RunningServer) -> None:
    with connect(server.grpc, retry=ONCE) as client, Client(server.grpc) as other:
        busy = threading.Thread(target=lambda: other.infer("slow", {"x": SLOW_ROWS}))
        busy.start()
        wait_until(lambda: not refused_or_answered(client))
        busy.join()


def refused_or_answered(client: Any) -> bool:
    """False once a request was refused because it had waited too long."""
    try:
        client.infer("slow", {"x": SLOW_ROWS[:1]}, queue_timeout_s=1e-6)
    except Unavailable:
        return False
    return True


def test_retries_end_within_the_deadline_where_nobody_answers(connect: Any) -> None:
    with connect("127.0.0.1:1", retry=PATIENT) as client, pytest.raises((Unavailable, DeadlineExceeded), match="127"):
        client.infer("double", {"x": ROW}, timeout_s=0.5)


def test_a_server_that_is_slow_to_take_a_connection_is_waited_for(connect: Any, server: RunningServer) -> None:
    with held_up(server, 0.5), connect(server.grpc, retry=ONCE) as client:
        np.testing.assert_array_equal(client.infer("double", {"x": ROW})["y"], ROW * 2)


def test_a_call_made_while_the_server_restarts_is_answered(connect: Any, quick: Path) -> None:
    with running_server(quick) as first:
        address = first.grpc
        with connect(address, retry=PATIENT) as client:
            client.infer("double", {"x": ROW})
            assert first.terminate() == 0
            answers: list[Any] = []
            caller = threading.Thread(target=lambda: answers.append(client.infer("double", {"x": ROW}, timeout_s=60)))
            caller.start()
            with running_server(quick, f"--grpc-port={address.rpartition(':')[2]}"):
                caller.join()
    np.testing.assert_array_equal(answers[0]["y"], ROW * 2)


def test_a_cancelled_task_cancels_its_call_on_the_server(server: RunningServer) -> None:
    async def leave() -> None:
        async with AsyncClient(server.grpc) as client:
            calls = [asyncio.ensure_future(client.infer("slow", {"x": SLOW_ROWS})) for _ in range(10)]
            _, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for call in waiting:
                call.cancel()
            endings = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(ending, asyncio.CancelledError) for ending in endings)

    before = ended(server, "slow", "cancelled")
    asyncio.run(leave())
    wait_until(lambda: ended(server, "slow", "cancelled") > before)


def test_many_async_calls_share_one_client(server: RunningServer) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(server.grpc) as client:
            return await asyncio.gather(*(client.infer("double", {"x": ROW * n}) for n in range(50)))

    for n, answer in enumerate(asyncio.run(ask())):
        np.testing.assert_array_equal(answer["y"], ROW * n * 2)


def methods_of(kind: type) -> dict[str, inspect.Signature]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(method) for name, method in found if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    assert methods_of(Client) == methods_of(AsyncClient)


@pytest.mark.parametrize(
    ("access", "told"),
    [({"tls_ca": "nowhere.pem"}, "nowhere.pem cannot be read"), ({"tls_cert": __file__}, "tls_cert and tls_key")],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_certificates_that_cannot_be_used_are_told(kind: Any, access: Any, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        kind("127.0.0.1:1", **access)


@pytest.mark.parametrize("heavy", ["torch", "onnx", "onnxruntime", "fovea.serving", "fovea.runtime", "fovea.export"])
def test_the_client_loads_nothing_heavy(heavy: str) -> None:
    script = f"import sys, fovea.client; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_client_and_tritonclient_live_in_one_process() -> None:
    script = "import fovea.client, tritonclient.grpc"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_users_type_checker_sees_the_clients_types(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("from fovea.client import Client\nreveal_type(Client.ready)\n")
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", script.name]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "model: str" in told, told


def test_every_method_of_both_clients_says_what_it_does() -> None:
    for kind in (Client, AsyncClient):
        assert not [name for name in methods_of(kind) if not inspect.getdoc(getattr(kind, name))]
        assert not [name for name in methods_of(kind) if getattr(kind, name).__name__ != name]
