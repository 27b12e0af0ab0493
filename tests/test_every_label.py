"""Each attention type has a model that comes with Fovea: a client that is not ours gets PyTorch's answers from it, and
its latencies bear the label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
from onnx import TensorProto, helper

from committed_models import EXPORTED, link_models
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, ModelCard
from fovea.recipes.catalogue import RECIPES
from fovea.runtime.golden import disagreements, read_golden
from servers import RunningServer, Samples, running_server, total, wait_until
from triton_calls import inputs

CARDS = {name: ModelCard.read(path) for name in RECIPES if (path := EXPORTED / name / "1" / CARD_FILE).exists()}
MODELS = {card.attention: name for name, card in reversed(CARDS.items())}
"""Attention type -> the first model whose card names it."""
OTHERS = {AttentionType.OTHER, AttentionType.UNKNOWN}
"""Of files that others made: their labels are not the catalogue's."""
OWN_LABEL, UNLABELLED = "reader", "nobodys"
"""One graph, with attention that no operator names: once its owner has labelled it, once nobody has."""
LATENCIES = ("fovea_request_duration_seconds_count", "fovea_batch_compute_seconds_count")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    repository = link_models(tmp_path_factory.mktemp("repository"), *MODELS.values())
    for name in (OWN_LABEL, UNLABELLED):
        (repository / name / "1").mkdir(parents=True)
        onnx.save(weighted_mean(), repository / name / "1" / "model.onnx")
    (repository / OWN_LABEL / "model.toml").write_text('attention = "other"\n')
    with running_server(repository, "--log-level=error") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def weighted_mean() -> onnx.ModelProto:
    """A softmax that weighs the rows of a memory, in plain operators."""
    nodes = [
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("MatMul", ["shares", "memory"], ["y"]),
    ]
    shapes = {"scores": ["N", 2, 3], "memory": ["N", 3, 4], "y": ["N", 2, 4]}
    scores, memory, y = (
        helper.make_tensor_value_info(*one) for one in ((n, TensorProto.FLOAT, s) for n, s in shapes.items())
    )
    graph = helper.make_graph(nodes, "reader", [scores, memory], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def answers(client: Any, model: str, asked: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    answer = client.infer(model, inputs(asked))
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def are_counted(samples: Samples, model: str, label: AttentionType) -> bool:
    return all(total(samples, metric, model=model, attention=str(label)) > 0 for metric in LATENCIES)


def test_each_type_of_the_catalogue_has_a_model() -> None:
    assert set(MODELS) == set(AttentionType) - OTHERS


@pytest.mark.parametrize("label", MODELS)
def test_a_client_that_is_not_ours_gets_pytorchs_answers_and_latencies_bear_the_label(
    client: Any, server: RunningServer, label: AttentionType
) -> None:
    model = MODELS[label]
    golden = read_golden(EXPORTED / model / "1" / GOLDEN_FILE)
    assert not disagreements(answers(client, model, golden.inputs), golden, CARDS[model].tolerances)
    wait_until(lambda: are_counted(server.samples(), model, label))  # which is done after its caller has been answered


@pytest.mark.parametrize(("model", "label"), [(OWN_LABEL, AttentionType.OTHER), (UNLABELLED, AttentionType.UNKNOWN)])
def test_attention_that_no_type_names_is_other_where_its_owner_says_so_and_else_unknown(
    client: Any, server: RunningServer, model: str, label: AttentionType
) -> None:
    random = np.random.default_rng(0)
    scores, memory = (random.standard_normal(shape, np.float32) for shape in ((1, 2, 3), (1, 3, 4)))
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    answer = answers(client, model, {"scores": scores, "memory": memory})["y"]
    np.testing.assert_allclose(answer, shares @ memory, rtol=1e-5, atol=1e-6)
    wait_until(lambda: are_counted(server.samples(), model, label))  # which is done after its caller has been answered
