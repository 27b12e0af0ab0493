"""README's blocks run: the client against a live server, the commands as they stand; its tables are the code's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from benchmarks.families_page import FAMILIES, FIGURES, Figures, tables
from committed_models import COMMITTED, EXPORTED, link_committed_models
from fovea.client import Client
from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.model_card import CARD_FILE, ModelCard
from fovea.contract.step_kinds import Step
from servers import running_server, wait_until

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
TEST_IMAGES = 10_000
"""Of Fashion-MNIST, on which accuracies were measured."""


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for name, block in fenced if name == language]


def lines(language: str) -> list[str]:
    return [line for block in blocks(language) for line in block.splitlines()]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_of(line: str) -> list[str]:
    """A line of a shell block as an argument list, with this environment's `fovea`."""
    words = line.split()
    return [str(BIN / "fovea") if Path(word).name == "fovea" else word for word in words]


@pytest.fixture(scope="module")
def ready_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a running server with the exported models says."""
    with running_server(link_committed_models(tmp_path_factory.mktemp("repository")), "--log-level=error") as server:
        yield server.ready_line


def address_of(front: str, ready_line: str) -> str:
    found = re.search(rf"{front} ([0-9.]+:\d+)", ready_line)
    assert found, ready_line
    return found[1]


@pytest.fixture
def address(ready_line: str) -> str:
    """The gRPC address."""
    return address_of("gRPC", ready_line)


def test_the_client_prints_a_class_and_the_shape_of_an_attention_map(address: str, tmp_path: Path) -> None:
    install = next(line for line in lines("sh") if "pip install 'tritonclient" in line)
    assert TEXT.index(install) < TEXT.index("import tritonclient")
    run(["bash", "-c", install.replace(".venv/bin", str(BIN))], tmp_path)
    client = next(block for block in blocks("python") if "tritonclient" in block)
    script = client.replace("127.0.0.1:8001", address)
    assert script != client
    assert re.fullmatch(r"\d \(1, 1, 7, 7\)\n", run([sys.executable, "-c", script], tmp_path))


def test_the_client_is_ten_lines_or_fewer() -> None:
    client = next(block for block in blocks("python") if "tritonclient" in block)
    assert len(client.splitlines()) <= 10


def test_foveas_own_client_prints_labels_and_the_shape_of_an_attention_map(address: str, tmp_path: Path) -> None:
    client = next(block for block in blocks("python") if "fovea.client" in block)
    assert len(client.splitlines()) <= 10
    printed = run([sys.executable, "-c", client.replace("127.0.0.1:8001", address)], tmp_path).splitlines()
    assert [re.fullmatch(r"-?\d+\.\d\d [A-Z][A-Za-z/ -]+", line) is not None for line in printed] == [True] * 3 + [
        False
    ]
    assert printed[-1] == "(1, 1, 7, 7)"


def test_the_steps_of_an_input_are_steps_and_every_step_that_there_is_is_named() -> None:
    (block,) = blocks("json")
    for listed in json.loads(block).values():
        InputSteps.model_validate(listed)
    about = TEXT[TEXT.index("`--steps steps.json`") :]
    kinds = [kind.model_fields["step"].default for kind in get_args(get_args(Step)[0])]
    assert not [kind for kind in kinds if f"`{kind}`" not in about and f'"{kind}"' not in about]


@pytest.mark.skipif(shutil.which("protoc") is None, reason="Debian's protobuf-compiler is not installed")
@pytest.mark.parametrize(
    ("plugin", "made"),
    [
        ("protoc-gen-go-grpc", {"fovea/inference/inference_grpc.pb.go", "fovea/inference/model_config.pb.go"}),
        ("grpc_java_plugin", {"inference/GRPCInferenceServiceGrpc.java", "inference/Inference.java"}),
    ],
)
def test_stubs_are_made_by_the_lines_that_the_readme_gives(tmp_path: Path, plugin: str, made: set[str]) -> None:
    found = shutil.which(plugin)
    if found is None:
        pytest.skip(f"{plugin} is not installed")
    block = next(block for block in blocks("sh") if plugin in block)
    _, assignment, protoc = block.replace(f"/usr/bin/{plugin}", found).splitlines()
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    run(["bash", "-c", f"{assignment}; {protoc}"], tmp_path)
    assert made <= {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}


def test_the_picture_gets_its_right_label_and_a_map(address: str, tmp_path: Path) -> None:
    block = next(block for block in blocks("sh") if "fovea infer" in block)
    looked = tmp_path / "looked.png"
    words = [str(looked) if word == "looked.png" else word for word in words_of(block)]
    assert "Ankle boot" in run([*words, "--server", address], ROOT).splitlines()[0]
    with Image.open(looked) as picture:
        assert min(picture.size) >= 448


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_picture_as_a_body_gets_its_right_label(ready_line: str) -> None:
    block = next(block for block in blocks("sh") if "--data-binary" in block)
    command = block.replace("127.0.0.1:8000", address_of("HTTP", ready_line)).replace("curl", "curl -s", 1)
    (output,) = json.loads(run(["bash", "-c", command], ROOT))["outputs"]
    assert output["data"][0].endswith(":9:Ankle boot")


def test_a_module_of_ones_own_is_exported_and_served_by_the_server_that_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(next(block for block in blocks("python") if "def network" in block))
    (tmp_path / "exported_models").mkdir()
    block = next(block for block in blocks("sh") if "fovea export" in block)
    with running_server(tmp_path / "exported_models", "--control-mode=poll", "--poll-s=0.2") as server:
        for line in block.splitlines()[1:]:  # the first one installs what is here already
            run(["bash", "-c", line.replace(".venv/bin", str(BIN))], tmp_path)
        assert {path.name for path in (tmp_path / "exported_models" / "mine" / "1").iterdir()} == {
            *("model.onnx", "maps.onnx", "golden.npz", "card.json")
        }
        with Client(server.grpc) as client:
            wait_until(lambda: client.healthy("mine"))
            assert client.metadata("mine").properties["attention_types"] == "simam"


def test_what_is_installed_are_extras_that_exist_beside_the_python_of_make_serve() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = [line for line in lines("sh") if "pip install -e" in line]
    installed = [re.fullmatch(r"\.venv/bin/pip install -e '\.\[(.+)\]'", line) for line in own]
    assert installed
    assert all(found and set(found[1].split(",")) <= set(extras) for found in installed)


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z-]+)`", TEXT)) | set(re.findall(r"^make ([a-z-]+)", TEXT, re.MULTILINE))
    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


@pytest.fixture(scope="module")
def figures() -> Figures:
    found: Figures = json.loads(FIGURES.read_text())
    return found


def test_the_tables_of_models_are_what_was_measured(figures: Figures) -> None:
    told = "`python -m tests.benchmarks.families_page` writes them anew"
    assert not [mark for mark, table in tables(figures).items() if f"<!-- {mark} -->\n{table}\n" not in TEXT], told


def test_they_say_what_the_cards_say_and_leave_no_committed_model_out(figures: Figures) -> None:
    facts = {name: one for family in figures["families"].values() for name, one in family.items()}
    committed = {name: EXPORTED / name / "1" / CARD_FILE for family in FAMILIES for name in family.models}
    cards = {name: ModelCard.read(path) for name, path in committed.items() if path.exists()}
    assert cards.keys() >= {*COMMITTED}
    assert {name: facts[name]["accuracy"] for name in cards} == {
        name: card.metrics["accuracy"] for name, card in cards.items()
    }
    assert {name: (facts[name]["attention"], facts[name]["parameters"]) for name in cards} == {
        name: (card.attention, card.parameters) for name, card in cards.items()
    }


def test_attention_buys_no_accuracy_here_as_is_said_below_the_table() -> None:
    assert "attention buys no accuracy" in TEXT
    elsewhere = ("fashion-vit", "fashion-vit-1", "fashion-simam-plug-in")  # another network, or not trained with it
    cards = [ModelCard.read(folder / CARD_FILE) for folder in COMMITTED.values()]
    accuracy = {card.attention: card.metrics["accuracy"] for card in cards if card.name not in elsewhere}
    without = accuracy.pop(AttentionType.NONE)
    standard_error = (without * (1 - without) / TEST_IMAGES) ** 0.5
    assert f"loses {100 * (without - accuracy.pop(AttentionType.MAX_POOL)):.1f} points" in TEXT
    assert max(abs(other - without) for other in accuracy.values()) < standard_error


def test_every_metric_that_is_named_is_defined_and_every_one_that_is_defined_is_named() -> None:
    from fovea.serving.observability.metrics import METRICS

    named = set(re.findall(r"`(fovea_[a-z_]+)`", TEXT))
    assert named == set(METRICS) - {"fovea_server_info"}


def test_every_command_that_exists_is_in_the_table() -> None:
    from fovea.cli import ARMS

    assert set(re.findall(r"^\| `fovea ([a-z]+)`", TEXT, re.MULTILINE)) == set(ARMS)


def test_every_heading_is_in_the_contents_and_every_page_that_is_linked_exists() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    linked = re.findall(r"\[[^]]+\]\(#[^)]+\)", TEXT)
    assert linked == [f"[{one}](#{one.lower().replace(' ', '-')})" for one in headings]
    pages = re.findall(r"\]\(((?!http|#)[^)#]+)", TEXT)
    assert pages
    assert not [page for page in pages if not (ROOT / page).exists()]
