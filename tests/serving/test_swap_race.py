"""A request that looks a version up in the very moment when that is swapped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from adding_models import MODEL, X, write_version
from fovea.runtime.loading import LoadSettings
from fovea.runtime.repository import model_folder
from fovea.serving.attention_sampler import AttentionSampler
from fovea.serving.model_swap import ModelSwap
from fovea.serving.queue_limit import QueueLimit
from fovea.serving.served_version import BatchDefaults, ServedVersion
from fovea.serving.server import Server
from fovea.serving.settings import Settings
from fovea.serving.telemetry import Telemetry
from fovea.serving.version_loader import VersionLoader
from raw_client import RawClient
from servers import infer_request


@contextmanager
def server_here(repository: Path, *, fast_lane: bool) -> Iterator[Server]:
    """A server in this process."""
    ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}
    server = Server(Settings(repository=repository, fast_lane=fast_lane, **ports))
    try:
        server.load()
        yield server
    finally:
        assert server.stop()


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_it_is_answered_by_the_successor(
    tmp_path: Path, version: int, fast_lane: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version(tmp_path, 10)
    sampler = AttentionSampler(0)
    loader = VersionLoader(LoadSettings(), BatchDefaults(0.0, QueueLimit()), Telemetry(), sampler)
    with (
        server_here(tmp_path, fast_lane=fast_lane) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc.port}") as channel,
    ):
        look_up = server.models.ready
        swap = ModelSwap(server.models, loader, lambda *_: None, lambda _: None)

        def look_up_and_swap(name: str, number: str) -> ServedVersion:
            monkeypatch.setattr(server.models, "ready", look_up)
            found = look_up(name, number)
            write_version(tmp_path, 20, version)
            swap.follow(model_folder(tmp_path / MODEL))
            found.pipeline.close()
            return found

        monkeypatch.setattr(server.models, "ready", look_up_and_swap)
        answer = RawClient(channel).send("ModelInfer", infer_request(MODEL, X))
        assert answer.model_version == str(version)
        assert (np.frombuffer(answer.raw_output_contents[0], np.float32) == X[0] + 20).all()
    assert sampler.close(20)
