"""The models that are measured beside the exported ones; made here, in a folder that goes away."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from tests.benchmarks.load import request_body
from tests.benchmarks.processes import FOVEA
from tests.encoder_model import write_encoder

from fovea.contract.lengths import DEFAULT_BUCKETS

IDENTITY_FLOATS = 16
PICTURE_SHAPE = (1, 28, 28)
WIDE_WIDTHS = (128, 128, 256)
SIMAM_SHAPE = (64, 56, 56)
LONGEST = 128
BATCHING_OFF = "max_batch_rows = 1\n"
SEQUENCE = f"""
[sequence]
inputs = {{tokens = 1}}
mask = "mask"
buckets = {[bucket for bucket in DEFAULT_BUCKETS if bucket <= LONGEST]}
"""


def wide_cbam() -> Any:
    """A `fashion-cbam` with more channels: at least 1.5 ms a row on one core."""
    import torch

    from fovea.contract.attention import AttentionType
    from fovea.networks.residual_network import ResidualNetwork

    torch.manual_seed(0)
    return ResidualNetwork(AttentionType.CBAM, widths=WIDE_WIDTHS).eval()


def export_wide_cbam(repository: Path) -> None:
    """Through the command that users have."""
    what = ("tests.benchmarks.models:wide_cbam", "--name=wide-cbam", "--input=input=1x1x28x28")
    subprocess.run([str(FOVEA), "export", *what, f"--repository={repository}"], check=True, stdout=subprocess.DEVNULL)


def simam() -> Any:
    """The block alone."""
    from fovea.attention.simam import SimAM

    return SimAM().eval()


def export_simam(repository: Path) -> None:
    """`simam`, and `simam-single`, which is the same with batching off."""
    shape = "x".join(map(str, (1, *SIMAM_SHAPE)))
    what = ("tests.benchmarks.models:simam", "--name=simam", f"--input=x={shape}")
    subprocess.run([str(FOVEA), "export", *what, f"--repository={repository}"], check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(repository / "simam", repository / "simam-single")
    (repository / "simam-single" / "model.toml").write_text(BATCHING_OFF)


def write_encoder_pair(repository: Path, width: int) -> None:
    """A transformer encoder that takes sequences, and the same with batching off: `encoder-<width>`, `…-single`."""
    for name, choices in ((f"encoder-{width}", ""), (f"encoder-{width}-single", BATCHING_OFF)):
        write_encoder(
            repository / name / "1" / "model.onnx", width=width, layers=4, heads=width // 32, every_output=False
        )
        (repository / name / "model.toml").write_text(choices + SEQUENCE)


def write_identity(repository: Path) -> None:
    """A plain ONNX file that gives back its floats: all that a request costs besides the model."""
    import onnx
    from onnx import TensorProto, helper

    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", IDENTITY_FLOATS]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    folder = repository / "identity" / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")


def copy_with_and_without_maps(source: Path, repository: Path) -> None:
    """Two copies of one version: as it is, and as if it had been exported without maps."""
    for name in ("with-maps", "without-maps"):
        shutil.copytree(source, repository / name / "1")
        _rename(repository / name / "1" / "card.json", name)
    _strip_maps(repository / "without-maps" / "1")


def _rename(path: Path, name: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))


def _strip_maps(folder: Path) -> None:
    """Take the maps out of the card, and their graph out of the folder."""
    card = json.loads((folder / "card.json").read_text())
    for layer in card["layers"]:
        layer["maps"] = []
    card["sha256"].pop("maps.onnx")
    (folder / "maps.onnx").unlink()
    (folder / "card.json").write_text(json.dumps(card))


def picture_request(model: str) -> bytes:
    """A request of one made-up picture, as it is sent."""
    row = np.random.default_rng(0).standard_normal((1, *PICTURE_SHAPE), np.float32)
    return request_body(model, {"input": row})
