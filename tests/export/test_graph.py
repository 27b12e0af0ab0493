"""What is in the exported files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from fovea.attention.cross import CrossAttention
from fovea.attention.dot import ScaledDotAttention
from fovea.attention.simam import SimAM
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.contract.attention import AttentionType
from fovea.contract.errors import ExportFailed
from fovea.contract.operators import DOMAIN
from fovea.export.exporter import export_graph
from fovea.export.graph import ExportedGraph, attention_nodes
from fovea.export.reference import Reference

Exported = Callable[[str], ExportedGraph]


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_each_attention_block_is_one_node_named_like_its_module(exported: Exported) -> None:
    nodes = attention_nodes(exported("cbam").model)
    assert [(node.op_type, node.name) for node in nodes] == [("CBAM", "attention"), ("CBAM", "again")]


def test_model_answers_like_pytorch_at_any_batch(
    kind: str, exported: Exported, network: Callable[[str], nn.Module]
) -> None:
    session, reference = session_of(exported(kind).model), Reference(network(kind))
    for rows in (1, 2, 7, 32):
        inputs = {"input": np.random.default_rng(rows).standard_normal((rows, 2, 6, 6), dtype=np.float32)}
        (logits,) = session.run(None, inputs)
        np.testing.assert_allclose(logits, reference.answer(inputs).outputs[0], rtol=0, atol=1e-5)


def test_maps_file_gives_the_models_outputs_and_then_pytorchs_maps(
    kind: str, exported: Exported, network: Callable[[str], nn.Module]
) -> None:
    graph = exported(kind)
    assert graph.maps is not None
    session = session_of(graph.maps)
    inputs = {"input": np.random.default_rng(3).standard_normal((3, 2, 6, 6), dtype=np.float32)}
    answer = Reference(network(kind)).answer(inputs)
    expected = [*answer.outputs, *(attention for call in answer.attention for attention in call.maps)]
    for got, right in zip(session.run(None, inputs), expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-5)
    names = ["logits", *(spec.name for layer in graph.layers for spec in layer.maps)]
    assert [output.name for output in session.get_outputs()] == names


def test_model_file_has_no_trace_of_maps(kind: str, exported: Exported) -> None:
    model = exported(kind).model
    assert [output.name for output in model.graph.output] == ["logits"]
    assert all(not any(node.output[1:]) for node in attention_nodes(model))
    assert b"attention.attention" not in model.SerializeToString()


@pytest.mark.parametrize("kind_of_sequence", ["multi_head", "causal", "self_window"])
def test_probabilities_are_computed_only_where_they_are_asked_for(kind_of_sequence: str, exported: Exported) -> None:
    graph = exported(kind_of_sequence)
    assert graph.maps is not None
    names = [{node.name for function in m.functions for node in function.node} for m in (graph.model, graph.maps)]
    assert "MultiHeadAttention/P" not in names[0]
    assert "MultiHeadAttention/P" in names[1]


def test_files_pass_the_checker_and_tell_who_wrote_them(kind: str, exported: Exported) -> None:
    graph = exported(kind)
    for model in (graph.model, graph.maps):
        assert model is not None
        onnx.checker.check_model(model, full_check=True)
        assert model.producer_name == "fovea"
        assert max(entry.version for entry in model.opset_import if entry.domain == "") <= 23


def test_files_hold_nothing_of_the_machine_that_wrote_them(kind: str, exported: Exported) -> None:
    graph = exported(kind)
    assert graph.maps is not None
    content = graph.model.SerializeToString() + graph.maps.SerializeToString()
    for trace in (str(Path.home()), str(Path.cwd()), "site-packages", '.py"', "stack_trace"):
        assert trace.encode() not in content


def test_every_axis_0_is_the_batch_and_the_rest_is_known(kind: str, exported: Exported) -> None:
    graph = exported(kind)
    specs = [*graph.inputs, *graph.outputs, *(spec for layer in graph.layers for spec in layer.maps)]
    for spec in specs:
        assert spec.shape[0] == -1
        assert all(size > 0 for size in spec.shape[1:])


def test_several_maps_of_a_layer_bear_the_outputs_names(exported: Exported) -> None:
    names = [spec.name for spec in exported("cbam").layers[0].maps]
    assert names == ["attention.attention.gate", "attention.attention.map"]


@pytest.mark.parametrize(
    ("kind_of_sequence", "attention"),
    [
        ("self_window", AttentionType.SELF),
        ("multi_head", AttentionType.MULTI_HEAD),
        ("dot", AttentionType.DOT),
        ("scaled_dot", AttentionType.SCALED_DOT),
        ("scaled_dot_masked", AttentionType.SCALED_DOT),
        ("additive", AttentionType.ADDITIVE),
    ],
)
def test_one_head_makes_self_attention_and_the_root_of_the_width_scaled_products(
    kind_of_sequence: str, attention: AttentionType, exported: Exported
) -> None:
    assert [layer.attention for layer in exported(kind_of_sequence).layers] == [attention]


class Related(nn.Module):
    """Products of a sequence with itself, or of its parts."""

    def __init__(self, relate: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self.score, self.relate = ScaledDotAttention(), relate

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.score(*self.relate(x))
        return y


@pytest.mark.parametrize(
    ("relate", "attention"),
    [
        (lambda x: (x, x, x), AttentionType.SELF),
        (lambda x: (x + 1, x, x), AttentionType.SCALED_DOT),
        (lambda x: (x + 1, x, 2 * x), AttentionType.KEY_VALUE),
        (lambda x: (x, x, 2 * x), AttentionType.KEY_VALUE),
    ],
)
def test_one_tensor_for_all_makes_self_attention_and_values_other_than_keys_key_value_attention(
    relate: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], attention: AttentionType
) -> None:
    graph = export_graph(Related(relate), {"x": torch.randn(2, 3, 4)}, ["y"])
    assert [layer.attention for layer in graph.layers] == [attention]


@pytest.mark.parametrize(("longer", "attention"), [(0, AttentionType.SELF), (2, AttentionType.KEY_VALUE)])
def test_one_head_over_another_sequence_is_not_self_attention(longer: int, attention: AttentionType) -> None:
    example = {"x": torch.randn(2, 3, 4), "memory": torch.randn(2, 3 + longer, 4)}
    graph = export_graph(CrossAttention(4, 4), example, ["y"])
    assert [layer.attention for layer in graph.layers] == [attention]


def test_products_of_single_numbers_have_nothing_to_be_scaled_by() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = ScaledDotAttention()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.score(x + 1, x, x)
            return y

    graph = export_graph(Single(), {"x": torch.randn(2, 3, 1)}, ["y"])
    assert [layer.attention for layer in graph.layers] == [AttentionType.DOT]


def test_network_without_attention_has_no_maps_file() -> None:
    graph = export_graph(nn.Linear(3, 2), {"x": torch.randn(2, 3)}, ["y"])
    assert graph.maps is None
    assert graph.layers == ()
    assert all(node.domain != DOMAIN for node in graph.model.graph.node)


def test_block_used_twice_has_two_layer_names() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = SimAM()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.block(self.block(x))
            return y

    graph = export_graph(Twice(), {"x": torch.randn(2, 3, 4, 4)}, ["y"])
    assert [layer.name for layer in graph.layers] == ["block", "block#2"]


def test_map_that_the_network_returns_itself_is_an_output_and_a_map() -> None:
    class Open(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = SqueezeExcitation(3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y, gate = self.block(x, return_attention=True)
            return y, gate

    graph = export_graph(Open(), {"x": torch.randn(2, 3, 4, 4)}, ["y", "gate"])
    assert graph.maps is not None
    x = {"x": np.random.default_rng(0).standard_normal((5, 3, 4, 4), dtype=np.float32)}
    _, gate, same = session_of(graph.maps).run(None, x)
    np.testing.assert_array_equal(gate, same)
    assert len(session_of(graph.model).run(None, x)) == 2


def test_module_that_fixes_its_batch_is_refused_in_one_line() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(2, -1) + torch.ones(2, 3)

    with pytest.raises(ExportFailed, match="axis 0 of y is not the batch") as refusal:
        export_graph(Fixed(), {"x": torch.randn(2, 3)}, ["y"])
    assert "\n" not in str(refusal.value)


def test_module_whose_output_has_no_batch_axis_is_refused() -> None:
    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(0)

    with pytest.raises(ExportFailed, match="axis 0 of y is not the batch"):
        export_graph(Total(), {"x": torch.randn(2, 3)}, ["y"])


@pytest.mark.parametrize(("taken", "given"), [("x", "relu"), ("x", "0.weight"), ("linear", "y"), ("relu", "linear")])
def test_inputs_and_outputs_may_be_called_as_something_inside(taken: str, given: str) -> None:
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    x = torch.randn(3, 4)
    graph = export_graph(module, {taken: x}, [given])
    (answer,) = session_of(graph.model).run([given], {taken: x.numpy()})
    np.testing.assert_allclose(answer, module(x).detach().numpy(), rtol=0, atol=1e-6)


def test_an_input_and_an_output_of_one_name_are_refused_in_one_line() -> None:
    with pytest.raises(ExportFailed, match=r"^x is an input and an output: one of them needs another name$"):
        export_graph(nn.Linear(4, 4), {"x": torch.zeros(2, 4)}, ["x"])
