"""A model whose tokenizer lies in its version: texts and pairs of them over the wire, on every lane and front."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from fovea.client import Client
from fovea.contract.input_steps import InputSteps
from fovea.contract.model_card import GOLDEN_TEXTS_FILE
from fovea.export.step_files import files_of
from fovea.runtime.files import file_sha256
from graphs import write_graph
from servers import RunningServer, running_server
from tokenizers_for_tests import plain, word_pieces
from triton_front import FRONTS, triton_front

GRAPH = """(int64[n,t] tokens, int64[n,t] types, bool[n,t] mask) => (int64[n,t] ids, int64[n,t] seen) {
    ids = Identity(tokens)  open = Cast <to=7> (mask)  seen = Add(types, open)
}"""
"""What the model was sent: the ids, and 1 for each token, 2 for each of a second text."""
LONGEST = 40
STEPS = [
    {"step": "text"},
    {"step": "tokenizer", "pad": "[PAD]", "most_tokens": LONGEST, "pairs": True, "types": "types"},
]
TEXTS = ["", "a", "The quick brown fox", "Naïve Å\0 漢字 \U0001f600", "e\u0301 b\u200b c [SEP] d", "dog " * 30]


def write_version(folder: Path, name: str = "echo") -> Path:
    write_graph(folder / "model.onnx", GRAPH)
    steps = {"tokens": InputSteps.model_validate(STEPS)}
    for file, content in files_of(steps, {"tokenizer.json": word_pieces().to_str()}).items():
        (folder / file).write_text(content, encoding="utf-8")
    whole = {"datatype": "INT64", "shape": [-1, -1]}
    card = {
        "name": name,
        "attention": "none",
        "inputs": [
            {"name": "tokens", **whole},
            {"name": "types", **whole},
            {**whole, "name": "mask", "datatype": "BOOL"},
        ],
        "outputs": [{"name": "ids", **whole}, {"name": "seen", **whole}],
        "batched": True,
        "lengths": {
            "text": {"inputs": {"tokens": 1, "types": 1}, "mask": "mask", "outputs": {"ids": [1], "seen": [1]}},
        },
        "input_steps": {"tokens": STEPS},
        "parameters": 0,
        "opset": 21,
        "sha256": {path.name: file_sha256(path) for path in folder.iterdir()},
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """With the model, and one whose tokenizer differs from the one that it was exported with."""
    repository = tmp_path_factory.mktemp("repository")
    write_version(repository / "echo" / "1")
    other = write_version(repository / "other" / "1", "other")
    changed = json.loads((other / "tokenizer.json").read_text())
    changed["normalizer"]["lowercase"] = False
    (other / "tokenizer.json").write_text(json.dumps(changed))
    card = json.loads((other / "card.json").read_text())
    card["sha256"]["tokenizer.json"] = file_sha256(other / "tokenizer.json")
    (other / "card.json").write_text(json.dumps(card))
    with running_server(repository, f"--{request.param}", "--ready-when=loaded", "--log-level=error") as server:
        yield server


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server) as client_and_module:
        yield client_and_module


def ask(front: Any, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    client, module = front
    tensor = module.InferInput("tokens", list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts)
    answer = client.infer("echo", [tensor])
    return answer.as_numpy("ids"), answer.as_numpy("seen")


def elements(*texts: Any) -> np.ndarray:
    return np.array(
        [[one.encode() for one in text] if isinstance(text, tuple) else text.encode() for text in texts], np.object_
    )


def test_texts_reach_the_model_as_the_ids_that_the_library_gives(front: Any) -> None:
    ids, seen = ask(front, elements(*TEXTS))
    for row, text in enumerate(TEXTS):
        expected = plain(word_pieces()).encode(text).ids
        assert ids[row].tolist() == expected + [0] * (ids.shape[1] - len(expected))
        assert seen[row].tolist() == [1] * len(expected) + [0] * (ids.shape[1] - len(expected))


def test_a_row_of_two_texts_is_a_pair_with_its_types(front: Any) -> None:
    pairs = [("The fox", "a dog"), ("", "b"), ("Naïve", "")]
    ids, seen = ask(front, elements(*pairs))
    for row, (first, second) in enumerate(pairs):
        encoded = plain(word_pieces()).encode(first, second)
        length = len(encoded.ids)
        assert ids[row, :length].tolist() == encoded.ids
        assert seen[row].tolist() == [1 + kind for kind in encoded.type_ids] + [0] * (ids.shape[1] - length)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (elements("a", "b " * LONGEST), f"row 1: a text of {LONGEST + 2} tokens is above the limit of {LONGEST}"),
        (elements(("a", "b " * LONGEST)), f"row 0: a text of {LONGEST + 4} tokens is above the limit of {LONGEST}"),
        (np.array([b"\xff"], np.object_), "row 0: expected UTF-8, and byte 0 is none"),
        (elements("a")[:, None].repeat(3, axis=1), "expected shape [-1, 2], received [1, 3]"),
    ],
)
def test_what_is_too_long_or_no_text_is_refused_and_never_cut(front: Any, texts: np.ndarray, reason: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(front, texts)
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert caught.value.message() == f"input 'tokens': {reason}"


def test_a_version_whose_texts_become_other_ids_than_at_its_export_is_not_served_and_the_index_tells_which(
    server: RunningServer,
) -> None:
    with Client(server.grpc) as client:
        (state,) = [state for state in client.models() if state.name == "other"]
    assert state.state == "UNAVAILABLE"
    assert "input 'tokens': the text 'The quick brown fox jumps over the lazy dog.' becomes [2, " in state.reason
    assert "where it was exported" in state.reason


def test_the_file_of_golden_texts_is_one_of_the_version(tmp_path: Path) -> None:
    card = json.loads((write_version(tmp_path / "echo" / "1") / "card.json").read_text())
    assert GOLDEN_TEXTS_FILE in card["sha256"]
