"""A request that looks a version up in the very moment when that is swapped."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

from adding_models import MODEL, X, write_version
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.repository import model_folder
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.lifecycle.model_swap import ModelSwap
from fovea.serving.lifecycle.served_version import BatchDefaults, ServedVersion
from fovea.serving.lifecycle.version_loader import VersionLoader
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.server import Server
from fovea.serving.settings import Settings
from raw_client import RawClient
from servers import infer_request

EXPORTED = Path(__file__).parents[3] / "exported_models" / "fashion-se"


@contextmanager
def server_here(repository: Path, **settings: Any) -> Iterator[Server]:
    """A server in this process."""
    ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}
    server = Server(Settings(repository=repository, **settings, **ports))
    try:
        server.load()
        yield server
    finally:
        assert server.stop()


@contextmanager
def swap_at_next_look_up(server: Server, model: Path, change: Callable[[], object]) -> Iterator[None]:
    """Whoever looks the model up next gets a version that `change` has replaced meanwhile."""
    sampler = AttentionSampler(0)
    loader = VersionLoader(LoadSettings(), BatchDefaults(0.0, QueueLimit()), Telemetry(), sampler)
    swap, look_up = ModelSwap(server.models, loader, lambda *_: None, lambda _: None), server.models.ready

    def look_up_and_swap(name: str, number: str) -> ServedVersion:
        patch.undo()
        found = look_up(name, number)
        change()
        swap.follow(model_folder(model))
        found.engine.close()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.models, "ready", look_up_and_swap)
        yield
    assert sampler.close(20)


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_a_request_whose_version_is_swapped_while_it_is_looked_up_is_answered_by_the_successor(
    tmp_path: Path, version: int, fast_lane: bool
) -> None:
    write_version(tmp_path, 10)
    with (
        server_here(tmp_path, fast_lane=fast_lane) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc.port}") as channel,
        swap_at_next_look_up(server, tmp_path / MODEL, lambda: write_version(tmp_path, 20, version)),
    ):
        answer = RawClient(channel).send("ModelInfer", infer_request(MODEL, X))
        assert answer.model_version == str(version)
        assert (np.frombuffer(answer.raw_output_contents[0], np.float32) == X[0] + 20).all()


def test_a_traced_request_whose_version_is_swapped_is_told_of_once_for_the_one_that_answers(tmp_path: Path) -> None:
    model, traces = tmp_path / "repository" / EXPORTED.name, tmp_path / "traces.jsonl"
    shutil.copytree(EXPORTED, model)
    picture = io.BytesIO()
    Image.new("L", (28, 28)).save(picture, "PNG")
    sent = triton.InferInput("input", [1], "BYTES")
    sent.set_data_from_numpy(np.array([picture.getvalue()], np.object_))
    with (
        server_here(model.parent, trace_file=traces, open_rpcs="trace") as server,
        triton.InferenceServerClient(f"127.0.0.1:{server.grpc.port}") as client,
        swap_at_next_look_up(server, model, lambda: shutil.copytree(model / "1", model / "2")),
    ):
        client.update_trace_settings(None, {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
        client.infer(EXPORTED.name, [sent], request_id="mine")
    told = [json.loads(line) for line in traces.read_text().splitlines()]
    assert [(one["request_id"], one["model_version"]) for one in told] == [("mine", "2")]
