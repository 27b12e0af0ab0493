"""PNG and JPEG bytes in place of a tensor: over gRPC and HTTP, with the exported models."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from onnx import helper
from PIL import Image
from tritonclient.utils import InferenceServerException

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps, Preprocessing
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.inputs.picture_steps import picture_row
from fovea.inputs.pictures import open_picture
from fovea.runtime.golden import write_golden
from rest_calls import rest
from servers import RunningServer, running_server, save_model, tensor, wait_until
from triton_front import FRONTS, triton_front

ROOT = Path(__file__).parents[3]
BOOT = (ROOT / "docs" / "ankle-boot.png").read_bytes()
SEEDS = (("left", 0), ("right", 3))
COLOURS = Preprocessing(mode="RGB", height=3, width=4, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))


LEFT, RIGHT = (
    InputSteps.model_validate([{"step": "picture"}, {"step": "channels", "mode": "L"}, *sizing, {"step": "scale"}])
    for sizing in (
        [{"step": "resize", "height": 6, "width": 4, "fit": "cover"}],
        [{"step": "resize", "height": 8, "width": 8, "filter": "nearest"}, {"step": "crop", "height": 5, "width": 3}],
    )
)


def echo_model(repository: Path) -> None:
    """A model whose answer is the tensor that its pictures became."""
    write_echo(repository, "echo", {"image": (3, COLOURS.height, COLOURS.width)}, preprocessing=COLOURS)


def pair_model(repository: Path) -> None:
    """The same with two pictures, each made by steps of its own."""
    steps = {"left": LEFT, "right": RIGHT}
    shapes = {name: one.row_shape for name, one in steps.items()}
    write_echo(repository, "pair", shapes, input_steps=steps)


def write_echo(repository: Path, model: str, shapes: dict[str, tuple[int, ...]], **facts: Any) -> None:
    """A model whose outputs are its inputs: seen for image, seen_left for left and so on."""
    seen = {name: "seen" if name == "image" else f"seen_{name}" for name in shapes}
    nodes = [helper.make_node("Identity", [name], [output]) for name, output in seen.items()]
    inputs = [tensor(name, ["n", *shape]) for name, shape in shapes.items()]
    outputs = [tensor(seen[name], ["n", *shape]) for name, shape in shapes.items()]
    folder = save_model(repository, model, nodes, inputs, outputs)
    golden = {name: np.zeros((2, *shape), np.float32) for name, shape in shapes.items()}
    write_golden(
        folder / "golden.npz", golden, {seen[name]: row.astype(np.float64) for name, row in golden.items()}, {}
    )
    specs = {name: {"datatype": "FP32", "shape": (-1, *shape)} for name, shape in shapes.items()}
    card = ModelCard(
        name=model,
        attention=AttentionType.NONE,
        inputs=tuple(TensorSpec(name=name, **spec) for name, spec in specs.items()),
        outputs=tuple(TensorSpec(name=seen[name], **spec) for name, spec in specs.items()),
        batched=True,
        parameters=0,
        opset=21,
        tolerances=dict.fromkeys(seen.values(), 1e-6),
        sha256={entry.name: hashlib.sha256(entry.read_bytes()).hexdigest() for entry in folder.iterdir()},
        **facts,
    )
    (folder / "card.json").write_text(card.to_json())


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = tmp_path_factory.mktemp("repository")
    echo_model(repository)
    pair_model(repository)
    (repository / "fashion-cbam").symlink_to(ROOT / "exported_models" / "fashion-cbam")
    with running_server(
        repository, f"--{request.param}", "--max-pixels=5000", "--kernels=off", "--log-level=debug"
    ) as server:
        yield server


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server) as client_and_module:
        yield client_and_module


def infer(front: Any, model: str, name: str, array: Any, datatype: str = "BYTES") -> np.ndarray:
    client, module = front
    sent = module.InferInput(name, list(array.shape), datatype)
    sent.set_data_from_numpy(array)
    answer = client.infer(model, [sent])
    return answer.as_numpy("logits" if model == "fashion-cbam" else "seen")


def of(*pictures: bytes) -> np.ndarray:
    return np.array(pictures, np.object_)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def noise(mode: str, size: tuple[int, int] = (31, 17), seed: int = 0) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(pixels.squeeze(), mode)


def test_the_boot_as_bytes_gets_the_logits_of_the_boot_as_a_tensor(front: Any) -> None:
    facts = Preprocessing(mode="L", height=28, width=28, mean=(0.286,), std=(0.353,))
    own = infer(front, "fashion-cbam", "input", picture_row(open_picture(io.BytesIO(BOOT)), facts.steps), "FP32")
    assert own.argmax() == 9
    np.testing.assert_array_equal(infer(front, "fashion-cbam", "input", of(BOOT)), own)
    np.testing.assert_array_equal(infer(front, "fashion-cbam", "input", of(BOOT)[:, None]), own)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "CMYK", "turned"])
def test_every_kind_of_picture_becomes_the_tensor_that_the_client_would_have_made(front: Any, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    special = {
        "P": lambda: encoded(noise("RGB").convert("P", palette=Image.Palette.ADAPTIVE)),
        "1": lambda: encoded(noise("L").convert("1")),
        "I;16": lambda: encoded(Image.fromarray(np.arange(31 * 17, dtype=np.uint16).reshape(17, 31) * 120)),
        "CMYK": lambda: encoded(noise("CMYK"), "JPEG"),
        "turned": lambda: encoded(noise("RGB"), "JPEG", exif=exif),
    }
    data = special.get(mode, lambda: encoded(noise(mode)))()
    seen = infer(front, "echo", "image", of(data))
    np.testing.assert_array_equal(seen, picture_row(open_picture(io.BytesIO(data)), COLOURS.steps))


def test_the_configuration_tells_the_order_of_a_pictures_axes(server: RunningServer) -> None:
    (image,) = rest(server, "/v2/models/echo/config")[1]["input"]
    assert (image["format"], image["dims"]) == ("FORMAT_NCHW", [3, 3, 4])


def test_several_pictures_are_rows_in_their_order(front: Any) -> None:
    pictures = [encoded(noise("RGB", (9 + seed, 7), seed), "PNG" if seed % 2 else "JPEG") for seed in range(5)]
    seen = infer(front, "echo", "image", of(*pictures))
    rows = [picture_row(open_picture(io.BytesIO(data)), COLOURS.steps) for data in pictures]
    np.testing.assert_array_equal(seen, np.concatenate(rows))


@pytest.mark.parametrize("bytes_of", [("left", "right"), ("right",), ("left",)])
def test_each_of_two_inputs_may_come_as_pictures_that_steps_of_its_own_make_tensors(
    front: Any, bytes_of: tuple[str, ...]
) -> None:
    client, module = front
    pictures = {name: [encoded(noise("RGB", seed=seed)) for seed in range(start, start + 3)] for name, start in SEEDS}
    made = {
        name: np.concatenate([picture_row(open_picture(io.BytesIO(data)), steps) for data in pictures[name]])
        for name, steps in (("left", LEFT), ("right", RIGHT))
    }
    sent = []
    for name, tensors in made.items():
        array = of(*pictures[name]) if name in bytes_of else tensors
        sent.append(module.InferInput(name, list(array.shape), "BYTES" if name in bytes_of else "FP32"))
        sent[-1].set_data_from_numpy(array)
    answer = client.infer("pair", sent)
    for name, tensors in made.items():
        np.testing.assert_array_equal(answer.as_numpy(f"seen_{name}"), tensors)


SCAN = encoded(noise("L"), "JPEG", progressive=True).rpartition(b"\xff\xda")[2][:-2].join((b"\xff\xda", b""))
BAD = {
    "no picture": (b"no picture", "no picture that can be read, expected PNG or JPEG"),
    "empty": (b"", "no picture that can be read"),
    "another format": (encoded(noise("RGB"), "BMP"), "expected PNG or JPEG"),
    "cut short": (encoded(noise("RGB"))[:400], "truncated"),
    "too large": (encoded(noise("L", (100, 51))), "100 x 51 is above the limit of 5000"),
    "animated": (encoded(noise("L"), save_all=True, append_images=[noise("L", seed=1)]), "animated"),
    "of many scans": (encoded(noise("L"), "JPEG", progressive=True).replace(b"\xff\xd9", SCAN * 40), "too many scans"),
    "with half a note": (encoded(noise("L"), exif=b"Exif\0\0MM\0*\0"), "a damaged picture"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_picture_fails_its_request_with_its_row_and_the_reason_and_no_other(front: Any, case: str) -> None:
    bad, reason = BAD[case]
    good = encoded(noise("RGB"))
    with pytest.raises(InferenceServerException) as caught:
        infer(front, "echo", "image", of(good, bad))
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert caught.value.message().startswith("input 'image': row 1: ")
    assert reason in caught.value.message()
    assert infer(front, "echo", "image", of(good)).shape == (1, 3, 3, 4)


def odd_notes(tag: int) -> bytes:
    """EXIF that Pillow warns of: a note of 1,000 bytes that are not there."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, 1) + struct.pack("<HHII", tag, 2, 1000, 60_000)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


def test_oddities_of_a_picture_are_no_concern_of_the_log(front: Any, server: RunningServer) -> None:
    for tag in range(40_000, 40_005):
        infer(front, "echo", "image", of(encoded(noise("RGB"), "JPEG", exif=odd_notes(tag))))
    rest(server, "/v2/health/live")
    assert [line for line in server.errors if not line.startswith("{") or "tag" in line] == []


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (of(BOOT)[:, None, None], "expected shape [-1], received [1, 1, 1]"),
        (of(BOOT, BOOT)[None], "expected shape [-1, 1], received [1, 2]"),
        (of(*[BOOT] * 33), "expected a batch of 1 to 32 rows, received 33"),
    ],
)
def test_pictures_in_another_shape_are_refused(front: Any, array: Any, words: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        infer(front, "echo", "image", array)
    assert words in caught.value.message()


def test_the_model_tells_that_it_takes_pictures_and_lists_the_tensor_alone(server: RunningServer) -> None:
    _, told, _ = rest(server, "/v2/models/fashion-cbam")
    assert [tensor["datatype"] for tensor in told["inputs"]] == ["FP32"]
    assert json.loads(told["properties"]["image_input"]) == {
        "name": "input",
        "datatype": "BYTES",
        "shape": [-1],
        "formats": ["PNG", "JPEG"],
    }


def test_a_body_that_is_a_picture_is_classified(server: RunningServer) -> None:
    path = "/v2/models/fashion-cbam/infer?classification=2"
    status, told, _ = rest(server, path, BOOT, {"Content-Type": "image/png"})
    assert (status, told["outputs"][0]["shape"]) == (200, [1, 2])
    assert told["outputs"][0]["data"][0].endswith(":9:Ankle boot")
    _, told, _ = rest(server, path.partition("?")[0], BOOT, {"Content-Type": "image/png"})
    assert np.argmax(told["outputs"][0]["data"]) == 9


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v2/models/fashion-cbam/infer?classification=some", 400, "a count of classes, received 'some'"),
        ("/v2/models/fashion-cbam/infer?classification=0", 400, "expected 1 to"),
        ("/v2/models/nope/infer", 404, "unknown model: 'nope'"),
    ],
)
def test_a_picture_that_cannot_be_asked_about_is_refused(
    server: RunningServer, path: str, status: int, words: str
) -> None:
    found, told, _ = rest(server, path, BOOT, {"Content-Type": "image/jpeg; q=1"})
    assert found == status
    assert words in told["error"]


def test_a_model_without_preprocessing_takes_no_pictures(repository: Path) -> None:
    with running_server(repository) as server, grpc.insecure_channel(server.grpc):
        status, told, _ = rest(server, "/v2/models/double/infer", BOOT, {"Content-Type": "image/png"})
        assert status == 400
        assert "model 'double' takes no pictures" in told["error"]
        with (
            http_client.InferenceServerClient(server.http.removeprefix("http://")) as client,
            pytest.raises(InferenceServerException, match="input 'x': expected FP32, received 'BYTES'"),
        ):
            infer((client, http_client), "double", "x", of(BOOT))


def test_a_flood_of_pictures_for_one_model_delays_another_models_by_a_few_at_most(tmp_path: Path) -> None:
    echo_model(tmp_path)
    (tmp_path / "fashion-cbam").symlink_to(ROOT / "exported_models" / "fashion-cbam")
    large = of(encoded(Image.new("RGBA", (4000, 4000))))
    with (
        running_server(tmp_path, "--kernels=off", "--drain-timeout=0") as server,
        grpc_client.InferenceServerClient(server.grpc) as client,
    ):
        sent = grpc_client.InferInput("image", [1], "BYTES")
        sent.set_data_from_numpy(large)
        answered: list[Any] = []
        for _ in range(60):
            client.async_infer("echo", [sent], lambda result, error: answered.append(result or error))
        wait_until(lambda: bool(answered))
        before = len(answered)
        infer((client, grpc_client), "fashion-cbam", "input", of(BOOT))
        assert len(answered) - before < 10
