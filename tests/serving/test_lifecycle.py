"""Start, drain and refusal to start, as the person who runs the server sees them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fovea import wire
from raw_client import RawClient
from servers import (
    endless_model,
    infer_request,
    requests_by_outcome,
    running_server,
    slow_model,
    wait_until,
)

ANY = "--ready-when=any"
"""One of the models of `repository` is damaged."""


def test_for_the_drain_delay_it_is_not_ready_and_goes_on_serving(repository: Path) -> None:
    x = np.ones((1, 4), np.float32)
    with running_server(repository, "--drain-delay=3", ANY) as server, grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not client("ServerReady").ready)
        assert client("ServerLive").live
        assert not client("ModelReady", name="double").ready
        assert health(channel, "double") == health(channel, "") == "NOT_SERVING"
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(f"{server.http}/v2/health/ready", timeout=20)
        caught.value.close()
        answer = client.send("ModelInfer", infer_request("double", x))
        assert answer.raw_output_contents[0] == (x + x).tobytes()
        assert server.process.wait(30) == 0


def health(channel: grpc.Channel, name: str) -> str:
    request = health_pb2.HealthCheckRequest(service=name)
    status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def test_who_watches_health_is_told_when_the_end_begins(repository: Path) -> None:
    with running_server(repository, "--drain-delay=600", ANY) as server, grpc.insecure_channel(server.grpc) as channel:
        stub, told = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckResponse
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=60) for name in ("", "double")]
        assert [next(watch).status for watch in watches] == [told.SERVING] * 2
        server.process.send_signal(signal.SIGTERM)
        assert [next(watch).status for watch in watches] == [told.NOT_SERVING] * 2


def test_a_second_sigterm_ends_it_at_once(repository: Path) -> None:
    with running_server(repository, "--drain-delay=600", ANY) as server, grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not client("ServerReady").ready)
        assert server.terminate() == 1


@pytest.mark.parametrize("lane", ["fast-lane", "no-fast-lane"])
def test_a_model_that_is_loading_does_not_hold_up_the_end(tmp_path: Path, lane: str) -> None:
    flags = (f"--{lane}", "--control-mode=explicit", "--open-rpcs=model_control", "--max-batch-rows=256")
    with (
        running_server(slow_model(tmp_path), *flags) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        client = RawClient(channel)
        load = wire.message("RepositoryModelLoadRequest")(model_name="slow").SerializeToString()
        loading = [client.start("RepositoryModelLoad", load, 60) for _ in range(2)]
        wait_until(lambda: client("RepositoryIndex").models[0].state == "LOADING")
        assert server.terminate() == 0
        assert {call.code() for call in loading} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_sigterm_while_it_starts_ends_it_without_a_ready_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = (f"--grpc-port={port}", "--http-port=0", "--metrics-port=0")
    command = [sys.executable, "-m", "fovea.cli", "serve", f"--repository={slow_model(tmp_path)}", *ports]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(60)
        assert health(channel, "") == health(channel, wire.SERVICE) == "NOT_SERVING"
        assert not RawClient(channel)("ServerReady").ready
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")


@pytest.mark.parametrize("lane", ["fast-lane", "no-fast-lane"])
def test_a_deadline_that_passes_in_the_queue_is_deadline_exceeded_and_counted_as_one(tmp_path: Path, lane: str) -> None:
    forever, short = (infer_request("endless", np.full((1, 4), turns, np.float32)) for turns in (1e9, 1))
    with (
        running_server(endless_model(tmp_path), f"--{lane}") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        call = channel.unary_unary(wire.path("ModelInfer"))
        busy_s = server.cpu_s + 0.3
        held = call.future(forever, timeout=60)
        wait_until(lambda: server.cpu_s > busy_s)
        with pytest.raises(grpc.RpcError) as caught:
            call(short, timeout=0.5)  # long enough to be taken in, shorter than the run in progress
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        held.cancel()
        call(short, timeout=60)
        wait_until(lambda: requests_by_outcome(server) == {"deadline": 1, "cancelled": 1, "ok": 1})


def test_http_health_follows_readiness(repository: Path) -> None:
    with running_server(repository, ANY) as server:
        for path in ("live", "ready"):
            with urllib.request.urlopen(f"{server.http}/v2/health/{path}", timeout=20) as answer:
                assert json.load(answer) == {path: True}
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"{server.http}/nope", timeout=20)
        caught.value.close()


def test_the_ready_line_is_all_of_standard_output_and_logs_are_json(repository: Path) -> None:
    with running_server(repository) as server:
        assert server.terminate() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
    assert "kernels none" in server.ready_line
    entries = [json.loads(line) for line in server.errors]
    assert any("damaged version 1 is unavailable" in entry["message"] for entry in entries)
    assert {"time", "level", "logger", "message"} <= entries[0].keys()


def start_and_fail(*flags: str, **environment: str) -> str:
    """A server that does not start: exit status 1 and one line, which is returned."""
    done = subprocess.run(
        [sys.executable, "-m", "fovea.cli", "serve", "--grpc-port=0", "--http-port=0", "--metrics-port=0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert done.stdout == ""
    return lines[0]


def test_a_repository_that_is_one_of_its_own_models_is_told_with_the_one_that_is_meant(repository: Path) -> None:
    with running_server(repository / "double") as server:
        assert "models none" in server.ready_line
        server.terminate()
    warned = [entry["message"] for entry in map(json.loads, server.errors) if entry["level"] == "warning"]
    assert [message for message in warned if message.endswith(f"did you mean {repository}?")] == warned[:1]


def test_cuda_where_there_is_none_is_one_line_and_never_a_silent_cpu(repository: Path) -> None:
    assert "cuda" in start_and_fail(f"--repository={repository}", "--device=cuda").lower()


def test_a_taken_port_is_one_line(repository: Path) -> None:
    with running_server(repository) as server:
        port = server.grpc.rsplit(":", 1)[1]
        assert port in start_and_fail(f"--repository={repository}", f"--grpc-port={port}")


def test_a_host_that_is_not_there_is_one_line(repository: Path) -> None:
    line = start_and_fail(f"--repository={repository}", "--host=nohost.invalid")
    assert "nohost.invalid is no address of this machine" in line


def test_required_kernels_that_are_not_there_are_one_line(repository: Path, tmp_path: Path) -> None:
    library = tmp_path / "mine.so"
    line = start_and_fail(f"--repository={repository}", "--kernels=require", f"--kernel-library={library}")
    assert str(library) in line


def test_a_repository_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "nowhere" in start_and_fail(f"--repository={tmp_path / 'nowhere'}")


def test_a_model_that_is_not_served_ends_the_start_where_that_is_wanted(repository: Path) -> None:
    line = start_and_fail(f"--repository={repository}", "--exit-on-load-failure")
    assert line.startswith("fovea: exit_on_load_failure: not served: damaged: version 1: model.onnx: ")


def test_a_bad_variable_is_one_line_that_names_it(repository: Path) -> None:
    line = start_and_fail(f"--repository={repository}", FOVEA_MAX_QUEUE="none")
    assert "FOVEA_MAX_QUEUE" in line or "max-queue" in line


def test_serving_never_imports_torch_or_onnx(repository: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
        "from fovea.serving.server import Server\n"
        "from fovea.serving.settings import Settings\n"
        f"server = Server(Settings(repository={str(repository)!r}, grpc_port=0, http_port=0, metrics_port=0))\n"
        "server.load()\n"
        "print(server.facts())\n"
        "server.stop()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert "'gRPC': '127.0.0.1:" in done.stdout, done.stderr
    assert done.returncode == 0


def test_grpcs_settings_are_made_before_anything_imports_grpc() -> None:
    program = "import os, sys, fovea.cli.serve; print('grpc' in sys.modules, os.environ['GRPC_EXPERIMENTS'])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False -event_engine_listener\n"


PRINTS = """
import os, sys, threading, time

def run(before=sys.stdout):
    while sys.stdout is before:
        time.sleep(0.01)
    print("said in Python")
    os.write(1, b"said in C\\n")

threading.Thread(target=run, daemon=True).start()
"""


def test_what_libraries_print_is_not_taken_for_the_ready_line(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(PRINTS)
    with running_server(repository, ANY, environment={"PYTHONPATH": str(tmp_path)}) as server:
        assert server.grpc
        wait_until(lambda: "said in C\n" in server.errors)
        assert [json.loads(line)["message"] for line in server.errors if "Python" in line] == [
            "printed: said in Python"
        ]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
