"""A model of another task from end to end: texts in, labels out. Trained, exported, served, asked, for real."""

from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
from PIL import Image
from tritonclient.utils import InferenceServerException

from fovea.cli import main
from fovea.client import Client
from fovea.contract.model_card import ModelCard
from fovea.recipes.recipe import Schedule
from rest_calls import rest
from servers import RunningServer, running_server
from text_recipe import LABELS, PAD, TextClassification
from triton_front import FRONTS, export_without_cache, triton_front

NAME = "names"
RECIPE = TextClassification(NAME, Schedule(epochs=2, batch_rows=32, peak_learning_rate=8e-3, label_smoothing=0.0))
SMALL, LARGE = "GREEK SMALL LETTER ALPHA", "Cyrillic capital letter IO"
LEAST_ACCURACY = 0.95


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache, repository = (tmp_path_factory.mktemp(name) for name in ("cache", "repository"))
    return export_without_cache(cache, repository, RECIPE)


@pytest.fixture(scope="module", params=["fast-lane", "no-fast-lane"])
def server(request: pytest.FixtureRequest, repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, f"--{request.param}", "--log-level=warning") as server:
        yield server


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Any]:
    """A client of Triton's, and its module."""
    with triton_front(request.param, server) as client_and_module:
        yield client_and_module


def tensors(module: Any, inputs: dict[str, np.ndarray]) -> list[Any]:
    sent = []
    for name, array in inputs.items():
        datatype = {"O": "BYTES", "i": "INT64", "b": "BOOL"}[array.dtype.kind]
        sent.append(module.InferInput(name, list(array.shape), datatype))
        sent[-1].set_data_from_numpy(array)
    return sent


def ask(front: Any, **inputs: np.ndarray) -> np.ndarray:
    client, module = front
    return client.infer(NAME, tensors(module, inputs)).as_numpy("logits")


def ask_for(front: Any, outputs: list[str], **inputs: np.ndarray) -> dict[str, np.ndarray]:
    client, module = front
    wanted = [module.InferRequestedOutput(name) for name in outputs]
    answer = client.infer(NAME, tensors(module, inputs), outputs=wanted)
    return {name: answer.as_numpy(name) for name in outputs}


def texts(*texts: str | bytes) -> np.ndarray:
    return np.array([text.encode() if isinstance(text, str) else text for text in texts], np.object_)


def as_trained(*texts: str) -> dict[str, np.ndarray]:
    return RECIPE.rows(texts)


def test_it_learns_in_seconds_and_its_card_says_how_well_and_what_makes_its_tokens(repository: Path) -> None:
    card = ModelCard.read(repository / NAME / "1" / "card.json")
    assert card.metrics["accuracy"] > LEAST_ACCURACY
    assert card.steps_by_input == RECIPE.subject_steps
    assert card.labels == tuple(LABELS.values())
    assert "vocabulary.txt" in card.sha256


def test_a_text_gets_the_answer_of_the_tokens_that_training_makes_of_it(front: Any) -> None:
    own = ask(front, **as_trained(SMALL))
    assert own.argmax() == list(LABELS).index("Ll")
    np.testing.assert_allclose(ask(front, tokens=texts(SMALL)), own, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ask(front, tokens=texts(SMALL)[:, None]), own, rtol=0, atol=1e-5)


def test_texts_of_different_lengths_in_one_request_are_answered_as_if_each_were_alone(front: Any) -> None:
    several = [SMALL, "plus sign", LARGE, "digit", "combining " * 8 + "mark"]
    together = ask(front, tokens=texts(*several))
    alone = [ask(front, tokens=texts(text)) for text in several]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=0, atol=1e-5)


MAP, TOKENS, OFFSETS = "attention.attention", "attention.tokens", "attention.offsets"


def test_a_map_comes_with_the_tokens_along_its_axes_and_their_characters_in_the_callers_text(front: Any) -> None:
    sent = ["\ufb01gure  CAFE\u0301, no", SMALL.title(), "one"]
    answer = ask_for(front, ["logits", MAP, TOKENS, OFFSETS], tokens=texts(*sent))
    longest = answer[TOKENS].shape[1]
    assert answer[MAP].shape[2:] == (longest, longest)
    assert answer[OFFSETS].shape == (3, longest, 2)
    for row, text in enumerate(sent):
        parts = [text[slice(*span)] for span in answer[OFFSETS][row] if span.any()]
        assert parts == text.replace(",", " ,").split()
        tokens = [token.decode() for token in answer[TOKENS][row] if token]
        assert tokens == [unicodedata.normalize("NFKC", part).lower() for part in parts]
    np.testing.assert_allclose(answer["logits"], ask(front, tokens=texts(*sent)), rtol=0, atol=1e-5)


def test_the_tokens_alone_may_be_asked_for_and_each_request_gets_its_own(front: Any) -> None:
    for text in (SMALL, LARGE, "plus sign"):
        answer = ask_for(front, [TOKENS], tokens=texts(text))
        assert answer[TOKENS].tolist() == [[word.lower().encode() for word in text.split()]]


def test_tokens_of_no_text_are_refused(front: Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask_for(front, [MAP, TOKENS], **as_trained(SMALL))
    assert "output 'attention.tokens' tells of texts: send input 'tokens' as BYTES" in caught.value.message()


def test_served_with_texts_it_is_as_accurate_as_its_card_says(server: RunningServer, repository: Path) -> None:
    test = RECIPE.data().test
    with Client(server.grpc, timeout_s=60) as client:
        parts = [[text for text, _ in test[start : start + 32]] for start in range(0, len(test), 32)]
        logits = [client.infer(NAME, {"tokens": part})["logits"] for part in parts]
    right = int((np.concatenate(logits).argmax(1) == [label for _, label in test]).sum())
    card = ModelCard.read(repository / NAME / "1" / "card.json")
    assert abs(right - card.metrics["accuracy"] * len(test)) <= 1


BAD = {
    "no UTF-8": (b"caf\xe9", "expected UTF-8, and byte 3 is none"),
    "empty": (b"", "an empty text"),
    "blank": (b" \n ", "a text without any token"),
    "too many tokens": (b"a " * 33, "a text of 33 tokens is above the limit of 32"),
    "too many bytes": (b"a" * 70_000, "a text of 70000 bytes is above the limit of 65536"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_text_fails_its_request_with_its_row_and_the_reason(front: Any, case: str) -> None:
    bad, reason = BAD[case]
    with pytest.raises(InferenceServerException) as caught:
        ask(front, tokens=texts(SMALL, bad))
    assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert caught.value.message() == f"input 'tokens': row 1: {reason}"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"tokens": texts(SMALL), "mask": np.ones((1, 4), bool)}, "input 'mask' is made of the texts of 'tokens'"),
        ({"tokens": texts(SMALL)[:, None, None]}, "expected shape [-1], received [1, 1, 1]"),
        ({"tokens": texts(*[SMALL] * 33)}, "expected a batch of 1 to 32 rows, received 33"),
        ({"mask": texts(SMALL)}, "input 'mask': expected BOOL, received 'BYTES'"),
    ],
)
def test_texts_in_another_form_are_refused(front: Any, inputs: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(front, **inputs)
    assert words in caught.value.message()


def test_good_texts_in_flight_beside_bad_ones_get_their_answers(server: RunningServer) -> None:
    """All at once, so that those of one length wait for each other and are batched."""
    sent = [SMALL, BAD["no UTF-8"][0], LARGE, BAD["empty"][0], "plus sign"] * 8
    done: SimpleQueue[tuple[int, Any, Any]] = SimpleQueue()

    def keep(place: int) -> Callable[[Any, Any], None]:
        return lambda result, error: done.put((place, result, error))

    with grpc_client.InferenceServerClient(server.grpc) as client:
        for place, text in enumerate(sent):
            tensor = grpc_client.InferInput("tokens", [1], "BYTES")
            tensor.set_data_from_numpy(texts(text))
            client.async_infer(NAME, [tensor], keep(place))
        answers = {place: (result, error) for place, result, error in (done.get(timeout=60) for _ in sent)}
        alone = {text: ask((client, grpc_client), tokens=texts(text)) for text in sent if isinstance(text, str)}
    for place, text in enumerate(sent):
        result, error = answers[place]
        assert (error is None) == isinstance(text, str)
        if error is None:
            np.testing.assert_allclose(result.as_numpy("logits"), alone[text], rtol=0, atol=1e-5)


def test_the_model_tells_that_it_takes_texts_and_lists_the_tensors_alone(server: RunningServer) -> None:
    _, told, _ = rest(server, f"/v2/models/{NAME}")
    assert [(tensor["name"], tensor["datatype"]) for tensor in told["inputs"]] == [
        ("tokens", "INT64"),
        ("mask", "BOOL"),
    ]
    facts = {"name": "tokens", "datatype": "BYTES", "shape": [-1], "most_bytes": 65536, "most_tokens": 32}
    assert json.loads(told["properties"]["text_input"]) == facts
    outputs = json.loads(told["properties"]["token_outputs"])
    assert [(one["name"], one["datatype"], one["shape"], one["input"]) for one in outputs] == [
        ("attention.tokens", "BYTES", [-1, -1], "tokens"),
        ("attention.offsets", "INT64", [-1, -1, 2], "tokens"),
    ]
    steps = json.loads(told["properties"]["input_steps"])["tokens"]
    assert [step["step"] for step in steps] == ["text", "unicode", "lowercase", "split", "vocabulary"]
    assert steps[-1]["pad"] == PAD


def with_vocabulary(repository: Path, name: str, source: Path, content: bytes) -> None:
    """The model under another name, with another vocabulary that is whole."""
    folder = repository / name / "1"
    shutil.copytree(source, folder)
    (folder / "vocabulary.txt").write_bytes(content)
    facts = json.loads((folder / "card.json").read_text())
    facts["sha256"]["vocabulary.txt"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps({**facts, "name": name}))


BROKEN = {
    "lacks": (b"a\nb\n", "vocabulary.txt lacks the token '[UNK]', which the card names"),
    "twice": (b"[PAD]\n[UNK]\na\na\n", "vocabulary.txt: a token is in it twice"),
    "bytes": (b"[PAD]\n[UNK]\n\xff\n", "vocabulary.txt is no UTF-8"),
    "large": (b"[PAD]\n[UNK]\n" + b"a" * (32 << 20), "vocabulary.txt is larger than 32768 KiB"),
    "moved": (b"[UNK]\n[PAD]\n", "input 'tokens' is filled up with 0, and its pad token has the id 1"),
}


def test_a_version_whose_vocabulary_does_not_do_is_not_served_and_the_index_tells_why(
    repository: Path, tmp_path: Path
) -> None:
    for name, (content, _) in BROKEN.items():
        with_vocabulary(tmp_path, name, repository / NAME / "1", content)
    with running_server(tmp_path, "--ready-when=loaded", "--log-level=error") as server, Client(server.grpc) as client:
        states = {state.name: (state.state, state.reason) for state in client.models()}
    assert states == {name: ("UNAVAILABLE", reason) for name, (_, reason) in BROKEN.items()}


def test_a_text_in_json_gets_its_labels(server: RunningServer) -> None:
    body = {
        "inputs": [{"name": "tokens", "datatype": "BYTES", "shape": [1], "data": [LARGE]}],
        "outputs": [{"name": "logits", "parameters": {"classification": 1}}],
    }
    status, told, _ = rest(server, f"/v2/models/{NAME}/infer", body)
    assert status == 200
    assert told["outputs"][0]["data"][0].endswith(":0:uppercase letter")


def test_the_command_and_the_client_tell_the_label_of_a_text(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infer", NAME, SMALL, "--server", server.grpc, "--top", "1"]) == 0
    best, remark = capsys.readouterr().out.splitlines()
    assert best.endswith("lowercase letter")
    assert remark.startswith(f"The model divides 100 % among its {len(LABELS)} classes, whatever the text says")
    with Client(server.grpc) as client:
        answer = client.infer(NAME, {"tokens": [SMALL, LARGE]}, ["logits"], top=1)
    assert answer.labels == ("lowercase letter", "uppercase letter")


def test_the_command_draws_a_map_as_a_matrix_of_the_texts_own_words(
    server: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["infer", NAME, SMALL, "--server", server.grpc, "--attention"]
    for name, head, said in (("mean", [], "the mean of its heads"), ("one", ["--head", "1"], "head 1")):
        assert main([*asked, str(tmp_path / f"{name}.png"), *head]) == 0
        assert f"multi_head of layer attention, {said}; a row's word attends" in capsys.readouterr().out
    mean, one = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("mean", "one"))
    assert mean.shape == one.shape
    assert (mean != one).any()
    assert main([*asked, str(tmp_path / "no.png"), "--head", "4"]) == 1
    assert "--head 4: the layer has 4, counted from 0" in capsys.readouterr().err
    assert main(["infer", NAME, SMALL, "--server", server.grpc, "--head", "1"]) == 1
    assert "--head 1 chooses a map, which --attention FILE draws" in capsys.readouterr().err
