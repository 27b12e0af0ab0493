"""A hostile version with a card harms only itself: it is tried in a process of its own first."""

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fovea.contract.errors import ModelBroken
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.golden import write_golden
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_version
from fovea.runtime.model_toml import ServingChoices
from fovea.runtime.probe import ProbeLimits
from fovea.runtime.repository import Configured

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 3))


def load(folder: Path, **limits: int) -> LoadedVersion:
    said = Configured(ServingChoices(batched=True))
    return load_version(folder, "hostile", 1, LoadSettings(probe=ProbeLimits(**limits)), said)


def card_facts() -> dict:
    return {"attention": "none", "layers": (), "inputs": (X,), "operator_version": None, "tolerances": {"y": 1.0}}


@pytest.fixture
def patient_loop(tmp_path, save_model, tensor, rewrite_card) -> Path:
    """Harmless with zeros; with the golden input it goes on for ever."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_again"]), helper.make_node("Sin", ["value"], ["next"])],
        "round",
        [tensor("i", [], TensorProto.INT64), tensor("on", [], TensorProto.BOOL), tensor("value", ["N", 3])],
        [tensor("on_again", [], TensorProto.BOOL), tensor("next", ["N", 3])],
    )
    zero = helper.make_tensor("value", TensorProto.FLOAT, [], [0.0])
    nodes = [
        helper.make_node("Constant", [], ["zero"], value=zero),
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["on"]),
        helper.make_node("Loop", ["", "on", "x"], ["y"], body=body),
    ]
    folder = tmp_path / "hostile" / "1"
    save_model(folder / "model.onnx", nodes, [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])
    batch = np.ones((1, 3), np.float32)
    write_golden(folder / "golden.npz", {"x": batch}, {"y": batch}, {})
    rewrite_card(folder, outputs=(X.model_copy(update={"name": "y"}),), **card_facts())
    return folder


def test_loop_that_its_golden_batch_makes_endless_is_refused_in_time(patient_loop, version_folder):
    begin_s = time.monotonic()
    with pytest.raises(ModelBroken, match=r"within 2 s|ended with status"):
        load(patient_loop, seconds=2)
    assert time.monotonic() - begin_s < 6
    assert load(version_folder).kernels == "body"


def test_output_that_grows_with_a_power_of_the_batch_is_refused(tmp_path, save_model, tensor, rewrite_card):
    """32 rows make 32 ** 6 numbers: 4 GiB."""
    nodes = [
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Concat", ["n"] * 6, ["shape"], axis=0),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Expand", ["sum", "shape"], ["y"]),
    ]
    folder = tmp_path / "hostile" / "1"
    shape = ["N", *"abcde"]
    save_model(folder / "model.onnx", nodes, [tensor("x", ["N", 3])], [tensor("y", shape)])
    output = TensorSpec(name="y", datatype="FP32", shape=(-1,) * 6)
    rewrite_card(folder, outputs=(output,), max_batch_rows=32, **card_facts())
    with pytest.raises(ModelBroken, match="more memory than a model may use"):
        load(folder, memory_bytes=2 << 30)


def test_golden_batch_that_is_too_large_is_named(version_folder, rewrite_card):
    huge = np.lib.format.header_data_from_array_1_0(np.zeros((1, 4, 8, 8), np.float32)) | {"shape": (2**36, 4, 8, 8)}
    with zipfile.ZipFile(version_folder / "golden.npz", "w") as archive, archive.open("inputs/image.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, huge)
    rewrite_card(version_folder)
    with pytest.raises(ModelBroken, match=r"golden\.npz: it needs more memory"):
        load(version_folder)


def test_version_goes_by_the_name_of_its_folder(version_folder):
    version = load(version_folder)
    assert (version.name, version.card.name) == ("hostile", "hostile")


def test_card_that_is_a_pipe_is_refused_at_once(version_folder):
    (version_folder / "card.json").unlink()
    os.mkfifo(version_folder / "card.json")
    with pytest.raises(ModelBroken, match=r"card\.json is no regular file"):
        load(version_folder)


def test_reason_can_be_encoded_whatever_the_file_is_called(version_folder):
    (version_folder / os.fsdecode(b"a\xff")).symlink_to("/")
    with pytest.raises(ModelBroken, match=re.escape(r"a\udcff")) as refusal:
        load(version_folder)
    assert str(refusal.value).encode("utf-8")


def test_reason_is_not_endless(version_folder, rewrite_card):
    rewrite_card(version_folder, inputs=(TensorSpec(name="x" * 5000, datatype="FP32", shape=(-1, 3)),))
    with pytest.raises(ModelBroken) as refusal:
        load(version_folder)
    assert len(str(refusal.value)) <= 500


_LOAD_AND_DIE = """
import os, pathlib, signal, sys
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_version
load_version(pathlib.Path(sys.argv[1]), "m", 1, LoadSettings())
children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
print(*children, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_trying_process_does_not_outlive_a_killed_server(version_folder):
    server = subprocess.run([sys.executable, "-c", _LOAD_AND_DIE, version_folder], stdout=subprocess.PIPE, check=False)
    children = server.stdout.split()
    assert len(children) == 1
    end_s = time.monotonic() + 5
    while _runs(int(children[0])):
        assert time.monotonic() < end_s


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
