"""`fovea infer` against a real server: labels, probabilities, heat maps, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.cli.infer import best_lines, told
from fovea.cli.infer_input import InferInput
from fovea.cli.map_files import MapInfo, choose_map
from fovea.client import Client, ModelInfo
from fovea.contract.input_steps import Preprocessing
from fovea.inputs.picture_steps import picture_row

Fovea = Callable[..., tuple[int, str, str]]


def test_a_picture_gets_its_label_and_probability(fovea: Fovea, server: str, bright: Path) -> None:
    status, out, err = fovea("infer", "tiny", bright, "--server", server)
    assert (status, err) == (0, "")
    lines = out.splitlines()[:-1]
    assert [line.split()[2] for line in lines] == ["bright", "dark"]
    assert sum(float(line.split("%")[0]) for line in lines) == pytest.approx(100, abs=0.02)


def test_what_the_percentages_are_is_said_since_noise_gets_them_too(fovea: Fovea, server: str, tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(noise)
    _, out, _ = fovea("infer", "tiny", noise, "--server", server, "--top", "1")
    share, remark = out.splitlines()
    assert "%" in share
    assert remark == (
        "The model divides 100 % among its 2 classes, whatever the picture shows; a share is no chance of being right."
    )


def test_its_score_is_the_one_that_the_client_tells(fovea: Fovea, server: str, bright: Path) -> None:
    _, out, _ = fovea("infer", "tiny", bright, "--server", server)
    with Client(server) as client:
        model = client.metadata("tiny")
        with Image.open(bright) as picture:
            rows = picture_row(picture, Preprocessing.model_validate(model.json("preprocessing")).steps)
        output = model.outputs[0].name
        classes = client.infer("tiny", {model.inputs[0].name: rows}, [output], top=2).classes[output][0]
    printed = [line.split()[1:] for line in out.splitlines()[:-1]]
    assert printed == [[f"{one.score:.2f}", one.label] for one in classes]


def test_scores_that_are_probabilities_are_shown_as_they_are() -> None:
    lines = best_lines(np.array([0.125, 0.875], np.float32), ["cat"], 2)
    assert [line.split() for line in lines] == [["87.50%", "0.88", "class", "1"], ["12.50%", "0.12", "cat"]]


def test_top_limits_the_labels(fovea: Fovea, server: str, bright: Path) -> None:
    _, out, _ = fovea("infer", "tiny", bright, "--server", server, "--top", "1")
    assert len([line for line in out.splitlines() if "%  " in line]) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pictures_of_every_kind_are_answered(fovea: Fovea, server: str, tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("picture.tiff" if mode in ("CMYK", "I;16") else "picture.png")
    Image.new(mode, (31, 17), 0 if mode != "I;16" else 60000).save(path)
    status, out, err = fovea("infer", "tiny", path, "--server", server, "--top", "1")
    assert (status, err, len(out.splitlines())) == (0, "", 2)


def test_the_attention_map_is_drawn_over_the_picture(fovea: Fovea, server: str, bright: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    status, out, _ = fovea("infer", "tiny", bright, "--server", server, "--attention", path)
    assert status == 0
    assert "cbam of layer look" in out
    with Image.open(path) as drawn:
        assert (drawn.mode, drawn.width * 7, min(drawn.size) >= 448) == ("RGB", drawn.height * 9, True)


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_map_is_lightest_where_the_model_attended_most(
    fovea: Fovea, server: str, tmp_path: Path, corner: tuple[int, int]
) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    pixels[corner] = 255  # which is where the model's map is highest
    lit, path = tmp_path / "lit.png", tmp_path / "map.png"
    Image.fromarray(pixels).resize((12, 8), Image.Resampling.NEAREST).save(lit)
    assert fovea("infer", "tiny", lit, "--server", server, "--attention", path)[0] == 0
    with Image.open(path) as drawn:
        quarters = np.asarray(drawn.convert("L").resize((2, 2), Image.Resampling.BOX), np.int64)
    assert np.unravel_index(quarters.argmax(), quarters.shape) == corner
    assert np.sort(quarters, axis=None)[-2] < quarters.max() / 2


def test_a_map_without_positions_is_drawn_below_the_picture(
    fovea: Fovea, server: str, bright: Path, tmp_path: Path
) -> None:
    path = tmp_path / "map.png"
    status, _, err = fovea(
        "infer", "tiny", bright, "--server", server, "--attention", path, "--layer", "attention.look.gate"
    )
    assert (status, err) == (0, "")
    with Image.open(path) as drawn:
        assert drawn.height > drawn.width * 7 / 9


MAPS = [
    MapInfo("attention.one.gate", (-1, 8), "one", "cbam"),
    MapInfo("attention.one.map", (-1, 1, 4, 4), "one", "cbam"),
    MapInfo("attention.two.map", (-1, 1, 2, 2), "two", "cbam"),
    MapInfo("attention.two.gate", (-1, 8), "two", "cbam"),
]


@pytest.mark.parametrize(
    ("layer", "chosen"),
    [
        (None, "attention.two.map"),
        ("one", "attention.one.map"),
        ("attention.one.gate", "attention.one.gate"),
        ("two", "attention.two.map"),
    ],
)
def test_the_last_map_with_positions_is_drawn_or_that_of_the_layer_that_is_named(
    layer: str | None, chosen: str
) -> None:
    assert choose_map(MAPS, layer).name == chosen


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["infer", "nobody", "{picture}", "--server", "{server}"],
            "unknown model: 'nobody' is not found; the server has damaged, tiny; ",
        ),
        (["infer", "damaged", "{picture}", "--server", "{server}"], "maps.onnx"),
        (["infer", "tiny", "{folder}/none.png", "--server", "{server}"], "No such file"),
        (["infer", "tiny", "{folder}", "--server", "{server}"], "directory"),
        (["infer", "tiny", __file__, "--server", "{server}"], "no picture"),
        (["infer", "tiny", "{picture}", "--server", "127.0.0.1:1"], "127.0.0.1:1: "),
        (["infer", "tiny", "{picture}", "--server", "{server}", "--attention", "x.png", "--layer", "ear"], "look"),
        (
            ["infer", "tiny", "{picture}", "--server", "{server}", "--attention", "{folder}/no/x.png"],
            "cannot be written",
        ),
        (["infer", "tiny", "{picture}", "--server", "{server}", "--attention", "{folder}/x.what"], "cannot be written"),
        (["infer", "nobody", "{picture}", "--server", "{server}", "--attention", "{folder}/x"], "ending such as .png"),
        (["infer", "tiny", "{picture}", "--server", "{server}", "--layer", "look"], "--attention FILE"),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    fovea: Fovea, server: str, bright: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    filled = [word.format(picture=bright, server=server, folder=tmp_path) for word in words]
    status, _, err = fovea(*filled)
    assert status == 1
    assert err.startswith("fovea: ")
    assert err.count("\n") == 1
    assert told in err


def test_a_vector_of_length_one_is_printed_as_a_vector_and_other_numbers_as_classes() -> None:
    model, asked = (
        ModelInfo("m", ("1",), (), (), {}),
        InferInput({"tokens": np.array([b"a"], np.object_)}, texts={"tokens": "a"}),
    )
    assert told(np.array([0.6, -0.8]), model, asked, top=1) == ["a vector of 2 numbers and length 1: 0.6000, …"]
    assert told(np.array([3.0, -4.0]), model, asked, top=1)[0].endswith("class 0")
    assert told(np.array([1.0, 0.0]), model, asked, top=1)[0].endswith("class 0")
