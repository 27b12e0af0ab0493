"""Models are loaded side by side: one that hangs while it is tried holds up no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
from onnx import TensorProto, helper

from adding_models import MODEL, write_version
from fovea import wire
from raw_client import RawClient
from servers import running_server, save_model, tensor, wait_until

HANGING = [f"hanging-{number}" for number in range(3)]
"""More than there are places on a machine of two cores."""
FOR_EVER_S = 100
"""What a trial may take here: a test that waited for its end would run out of time."""


def write_hanging(repository: Path, name: str) -> None:
    """A model that goes on for ever with whatever it gets."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_again"]), helper.make_node("Sin", ["value"], ["next"])],
        "round",
        [tensor("i", [], TensorProto.INT64), tensor("on", [], TensorProto.BOOL), tensor("value", ["N", 3])],
        [tensor("on_again", [], TensorProto.BOOL), tensor("next", ["N", 3])],
    )
    yes = helper.make_tensor("value", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["on"], value=yes),
        helper.make_node("Loop", ["", "on", "x"], ["y"], body=body),
    ]
    save_model(repository, name, nodes, [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])


def test_a_version_that_hangs_holds_up_no_load_of_another(tmp_path: Path) -> None:
    write_version(tmp_path, 10)
    for name in HANGING:
        write_hanging(tmp_path, name)
    flags = ("--control-mode=explicit", "--open-rpcs=model_control", f"--trial-s={FOR_EVER_S}")
    with running_server(tmp_path, *flags) as server, grpc.insecure_channel(server.grpc) as channel:
        client = RawClient(channel)

        def load(name: str) -> grpc.Future:
            message = wire.message("RepositoryModelLoadRequest")(model_name=name)
            return client.start("RepositoryModelLoad", message.SerializeToString(), FOR_EVER_S)

        hanging = [load(name) for name in HANGING]
        wait_until(lambda: sum(one.state == "LOADING" for one in client("RepositoryIndex").models) == len(HANGING))
        assert load(MODEL).result() is not None
        assert not any(call.done() for call in hanging)


def test_a_version_that_hangs_holds_up_none_that_comes_later(tmp_path: Path) -> None:
    repository, other = tmp_path / "repository", tmp_path / "other"
    write_version(repository, 10)
    write_version(other, 20)
    with (
        running_server(repository, "--control-mode=poll", "--poll-s=0.2", f"--trial-s={FOR_EVER_S}") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        client = RawClient(channel)
        for name in HANGING:
            write_hanging(tmp_path / "whole", name)
            shutil.move(tmp_path / "whole" / name, repository / name)
        wait_until(lambda: len(client("RepositoryIndex").models) == 1 + len(HANGING))
        shutil.move(other / MODEL, repository / "later")
        wait_until(lambda: client("ModelReady", name="later").ready)
        assert not any(client("ModelReady", name=name).ready for name in HANGING)
