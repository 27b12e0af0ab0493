"""`fovea export` of a module of one's own, as it is typed; and what it made, served."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.cli import main
from fovea.client import Client
from fovea.contract.model_card import CARD_FILE, ModelCard
from servers import running_server, total, wait_until

SOURCE = """
from torch import nn
from fovea.attention.simam import SimAM


def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3), SimAM(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x):
        return x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


def gated():
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    return nn.Sequential(nn.Conv2d(3, 8, 3), Gate(), nn.ReLU(), Gate(), *head)


class Undecided(nn.Module):
    def forward(self, picture):
        return picture[: int(picture.sum())] if picture.sum() > 0 else picture
"""
PICTURES = ("--labels", "labels.txt", "--preprocessing", "RGB:0.5:0.25")


def exported(folder: Path, factory: str, *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "mine.py").write_text(SOURCE)
    (folder / "labels.txt").write_text("cat\ndog\n")
    words = [
        "export",
        f"mine:{factory}",
        "--name",
        "mine",
        "--input",
        "picture=1x3x9x9",
        "--repository",
        "models",
        *flags,
    ]
    command = [sys.executable, "-m", "fovea.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


def test_a_module_whose_preprocessing_is_told_names_what_is_on_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = exported(tmp_path, "network", *PICTURES)
    assert (done.returncode, done.stdout) == (0, "models/mine/1\n")
    serve, ask = done.stderr.splitlines()
    assert serve.startswith("serve it: fovea serve --repository models ")
    assert ask == "ask it:   fovea infer mine PICTURE"
    Image.new("L", (20, 30), 99).save(tmp_path / "picture.png")
    with running_server(tmp_path / "models") as server:
        assert main(["infer", "mine", str(tmp_path / "picture.png"), "--server", server.grpc]) == 0
    found = re.findall(r"^ *[\d.]+% +-?[\d.]+  (\w+)$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(found) == ["cat", "dog"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_module_that_takes_no_pictures_is_asked_for_its_inputs(tmp_path: Path) -> None:
    done = exported(tmp_path, "network")
    with running_server(tmp_path / "models") as server:
        curl = done.stderr.splitlines()[1].removeprefix("ask it:   ").partition("   ")[0]
        line = curl.replace("http://127.0.0.1:8000", server.http)
        assert line != curl
        told = subprocess.run(["curl", "-s", *line.split()[1:]], capture_output=True, text=True, check=True).stdout
    assert json.loads(told)["inputs"] == [{"name": "picture", "datatype": "FP32", "shape": [-1, 3, 9, 9]}]


def test_attention_that_says_nothing_of_itself_is_found_and_served_as_what_it_is(tmp_path: Path) -> None:
    done = exported(tmp_path, "gated", *PICTURES)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("found:    2 x SqueezeExcitation, in operators that do not say so\nserve it: ")
    with running_server(tmp_path / "models") as server, Client(server.grpc) as client:
        told = client.metadata("mine").properties
        inputs = {"picture": np.ones((2, 3, 9, 9), np.float32)}
        answer = client.infer("mine", inputs, outputs=["output", "attention.3"])
        client.infer("mine", inputs)  # bodies are not timed in a batch that ran for maps
        asked = {"model": "mine", "attention": "squeeze_excitation"}
        wait_until(lambda: total(server.samples(), "fovea_request_duration_seconds_count", **asked) == 2)
        wait_until(lambda: total(server.samples(), "fovea_attention_op_seconds_count", **asked) > 0)
    assert told["attention"] == "squeeze_excitation"
    assert answer["attention.3"].shape == (2, 8)
    card = ModelCard.read(tmp_path / "models" / "mine" / "1" / CARD_FILE)
    assert [(layer.name, layer.operator, layer.found) for layer in card.layers] == [
        ("1", "SqueezeExcitation", True),
        ("3", "SqueezeExcitation", True),
    ]
    assert (card.labels, card.undone) == (("cat", "dog"), ())


def test_a_model_is_known_by_the_attention_that_its_author_names(tmp_path: Path) -> None:
    done = exported(tmp_path, "network", "--attention", "other")
    assert done.returncode == 0, done.stderr
    card = ModelCard.read(tmp_path / "models" / "mine" / "1" / CARD_FILE)
    assert (card.attention, [layer.attention for layer in card.layers]) == ("other", ["simam"])


def test_what_torch_cannot_trace_is_told_in_our_one_line_alone(tmp_path: Path) -> None:
    done = exported(tmp_path, "Undecided")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("fovea: the module")
