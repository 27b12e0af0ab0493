"""What looks like attention in a file is seen by its structure: however it is written, wherever it stands."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from committed_models import COMMITTED
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import ModelCard
from fovea.runtime.attention_seen import Seen, attention_seen
from servers import tensor

MICROSOFT = "com.microsoft"
NOT_RECOGNISED = "its file has what looks like attention and is not recognised"
Line = str
"""`op inputs -> outputs`, also `op@domain!activation`; commas between names; those that begin with w are weights."""

SEEN: dict[str, list[Line]] = {
    "the standard operator": ["Attention x,x,x -> y"],
    "an operator of ONNX Runtime": [f"GroupQueryAttention@{MICROSOFT} x,x,x -> y"],
    "an operator of somebody's own": ["FlashAttention@org.example x -> y"],
    "softmax between products": ["MatMul x,w1 -> q", "MatMul q,x -> s", "Softmax s -> p", "MatMul p,x -> y"],
    "its scores scaled, masked and cast": [
        *("Einsum x,x -> a", "Mul a,w -> b", "Where m,b,w -> c", "Cast c -> d", "Softmax d -> e", "Cast e -> f"),
        *("Dropout f -> g", "MatMul g,x -> y"),
    ],
    "learned keys and values": ["Conv x,w1 -> a", "Softmax a -> b", "Div b,w -> c", "Conv c,w2 -> y"],
    "scores that are no product": ["Sub x,m -> a", "ReduceL2 a -> b", "Softmax b -> c", "MatMul c,x -> y"],
    "a weighted sum": ["MatMul x,w -> a", "Softmax a -> b", "Mul b,x -> c", "ReduceSum c -> y"],
    "a weighted mean after layout": ["Softmax x -> b", "Mul m,b -> c", "Reshape c,w -> d", "ReduceMean d -> y"],
    "softmax written out": [
        *("MatMul x,m -> a", "Exp a -> b", "ReduceSum b -> c", "Add c,w -> d", "Div b,d -> e", "MatMul e,x -> y")
    ],
    "its keys and values learned": [
        *("MatMul x,w1 -> a", "Exp a -> b", "ReduceSum b -> c", "Clip c,w -> d", "Div b,d -> e", "MatMul e,w2 -> y")
    ],
    "hard attention": ["MatMul x,m -> a", "Hardmax a -> b", "MatMul b,x -> y"],
    "no softmax": ["MatMul x,m -> a", "Sigmoid a -> b", "MatMul b,x -> y"],
    "linear attention": ["MatMul m,x -> a", "Relu x -> q", "MatMul q,a -> y"],
    "quantised, dynamically": [
        *("DynamicQuantizeLinear x -> a,as,az", "MatMulInteger a,a,az,az -> b", "Cast b -> c", "Mul c,as -> d"),
        *("Softmax d -> e", "DynamicQuantizeLinear e -> f,fs,fz", "MatMulInteger f,a,fz,az -> g", "Cast g -> y"),
    ],
    "quantised, by operators": [
        "QLinearMatMul x,ws,wz,m,ws,wz,ws,wz -> a",
        f"QLinearSoftmax@{MICROSOFT} a,ws,wz,ws,wz -> b",
        "QLinearMatMul b,ws,wz,x,ws,wz,ws,wz -> y",
    ],
    "squeeze and excitation": [
        *(
            "GlobalAveragePool x -> a",
            "Conv a,w1 -> b",
            "Relu b -> c",
            "Conv c,w2 -> d",
            "Sigmoid d -> e",
            "Mul x,e -> y",
        )
    ],
    "its gate hard and flattened": [
        *("Conv x,w -> h", "ReduceMean h -> a", "Flatten a -> b", "Gemm b,w1 -> c", "Relu c -> d", "Gemm d,w2 -> e"),
        *("HardSigmoid e -> f", "Unsqueeze f,wa -> g", "Mul g,h -> y"),
    ],
    "its hard sigmoid written out": [
        *(
            "GlobalAveragePool x -> a",
            "Conv a,w1 -> b",
            "Add b,w -> c",
            "Clip c,w,w -> d",
            "Div d,w -> e",
            "Mul e,x -> y",
        )
    ],
    "its sigmoid fused into the convolution": [
        *("GlobalAveragePool x -> a", f"FusedConv@{MICROSOFT}!Sigmoid a,w -> b", "Mul x,b -> y")
    ],
    "its values quantised and dequantised": [
        *("QuantizeLinear x,w,w -> q", "DequantizeLinear q,w,w -> a", "DequantizeLinear q,w,w -> b"),
        *("GlobalAveragePool a -> c", "Conv c,w -> d", "Sigmoid d -> e", "Mul b,e -> y"),
    ],
    "a gate without weights": ["ReduceMean x -> a", "Sub x,a -> b", "Pow b,w -> c", "Sigmoid c -> d", "Mul x,d -> y"],
    "a spatial gate": [
        *("ReduceMean x -> a", "ReduceMax x -> b", "Concat a,b -> c", "Conv c,w -> d", "Sigmoid d -> e", "Mul x,e -> y")
    ],
    "a gate that a convolution makes": ["Conv x,w -> a", "Sigmoid a -> b", "Mul b,x -> y"],
    "two that are selected by softmax": [
        *("Conv x,w1 -> a", "Conv x,w2 -> b", "Add a,b -> c", "GlobalAveragePool c -> d", "Gemm d,w -> e"),
        *("Softmax e -> f", "Split f -> g,h", "Mul a,g -> i", "Mul b,h -> j", "Add i,j -> y"),
    ],
}

PLAIN: dict[str, list[Line]] = {
    "a classifier": ["Gemm x,w1 -> a", "Relu a -> b", "Gemm b,w2 -> c", "Softmax c -> y"],
    "convolutions": [
        "Conv x,w1 -> a",
        "Relu a -> b",
        "MaxPool b -> c",
        "Conv c,w2 -> d",
        "Add c,d -> e",
        "Softmax e -> y",
    ],
    "swish": ["Conv x,w1 -> a", "Sigmoid a -> b", "Mul a,b -> c", "Conv c,w2 -> y"],
    "swish, quantised": [
        *("Conv x,w1 -> a", "QuantizeLinear a,w,w -> q", "DequantizeLinear q,w,w -> b", "DequantizeLinear q,w,w -> c"),
        *("Sigmoid b -> d", "Mul c,d -> e", "Conv e,w2 -> y"),
    ],
    "hard swish, written out": ["Conv x,w -> a", "Add a,w -> b", "Clip b,w,w -> c", "Mul a,c -> d", "Div d,w -> y"],
    "a gated linear unit": ["MatMul x,w1 -> a", "Split a -> b,c", "Sigmoid c -> d", "Mul b,d -> e", "MatMul e,w2 -> y"],
    "the gates of a recurrent cell": [
        *("MatMul x,w1 -> a", "MatMul m,w2 -> b", "Add a,b -> c", "Sigmoid c -> d", "Mul d,m -> e", "Tanh e -> y")
    ],
    "normalisation, written out": [
        *("ReduceMean x -> a", "Sub x,a -> b", "Mul b,b -> c", "ReduceMean c -> d", "Add d,w -> e", "Sqrt e -> f"),
        *("Div b,f -> g", "Mul g,w -> h", "Sigmoid h -> i", "Mul h,i -> j", "MatMul j,w2 -> y"),
    ],
    "layers quantised dynamically": [
        *("DynamicQuantizeLinear x -> a,as,az", "MatMulInteger a,w1,az,w -> b", "Cast b -> c", "Mul c,as -> d"),
        *("Relu d -> e", "DynamicQuantizeLinear e -> f,fs,fz", "MatMulInteger f,w2,fz,w -> g", "Cast g -> y"),
    ],
    "an expected value": ["Gemm x,w -> a", "Softmax a -> b", "Mul b,w2 -> c", "ReduceSum c -> y"],
    "boxes and classes": ["Conv x,w1 -> a", "Softmax a -> b", "Conv x,w2 -> c", "Sigmoid c -> d", "Mul b,d -> y"],
    "layers mixed by learned shares": ["Softmax w -> a", "MatMul a,x -> y"],
    "layers mixed by shares of learned vectors": ["MatMul w1,w2 -> a", "Softmax a -> b", "MatMul b,x -> y"],
    "an entropy": ["Gemm x,w -> a", "Softmax a -> b", "Log b -> c", "Mul b,c -> d", "ReduceSum d -> y"],
    "similarities": ["MatMul x,w1 -> a", "MatMul m,w2 -> b", "MatMul a,b -> c", "Softmax c -> y"],
    "a product with a shape": ["Shape x -> a", "Cast a -> b", "MatMul x,b -> c", "MatMul c,b -> y"],
}


def node_of(line: Line, name: str = "") -> onnx.NodeProto:
    call, _, outputs = line.partition(" -> ")
    operator, _, inputs = call.partition(" ")
    operator, _, activation = operator.partition("!")
    operator, _, domain = operator.partition("@")
    more = {"activation": activation} if activation else {}
    return helper.make_node(operator, inputs.split(","), outputs.split(","), name, domain=domain or None, **more)


def graph_of(nodes: list[onnx.NodeProto], inputs: list[str], output: str = "y") -> onnx.GraphProto:
    used = {name for node in nodes for name in node.input}
    weights = [onnx.numpy_helper.from_array(np.ones(1, np.float32), name) for name in used if name.startswith("w")]
    values = [tensor(name, ["n", 4]) for name in inputs]
    return helper.make_graph(nodes, "graph", values, [tensor(output, ["n", 4])], weights)


def saved(folder: Path, nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto] | None = None) -> Path:
    opsets = [helper.make_opsetid("", 23), *(helper.make_opsetid(name, 1) for name in (MICROSOFT, "own", "ai.fovea"))]
    model = helper.make_model(graph_of(nodes, ["x", "m"]), opset_imports=opsets, functions=functions or [])
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def seen(folder: Path, lines: list[Line]) -> Seen:
    return attention_seen(saved(folder, [node_of(line) for line in lines]))


@pytest.mark.parametrize("what", SEEN)
def test_what_looks_like_attention_is_seen(tmp_path: Path, what: str) -> None:
    found = seen(tmp_path, SEEN[what])
    assert (found.attention, found.layers) == (AttentionType.UNKNOWN, ())
    assert re.fullmatch(rf"{NOT_RECOGNISED}: [12] x [a-z ]+", found.unnamed)


@pytest.mark.parametrize("what", PLAIN)
def test_what_is_no_attention_is_not(tmp_path: Path, what: str) -> None:
    assert seen(tmp_path, PLAIN[what]) == Seen()


def test_a_weight_that_is_listed_among_the_inputs_too_is_no_input(tmp_path: Path) -> None:
    path = saved(tmp_path, [node_of(line) for line in ("MatMul x,w1 -> a", "Relu a -> b", "MatMul b,w2 -> y")])
    model = onnx.load(path)
    model.graph.input.extend(tensor(weight.name, [1]) for weight in model.graph.initializer)
    path.write_bytes(model.SerializeToString())
    assert attention_seen(path) == Seen()


def test_names_of_layers_and_values_count_for_nothing(tmp_path: Path) -> None:
    lines = ["Relu x -> attention", "MatMul attention,w -> softmax", "Abs softmax -> y"]
    plain = [node_of(line, f"/encoder/self_attention/{place}") for place, line in enumerate(lines)]
    assert attention_seen(saved(tmp_path, plain)) == Seen()


def branch(line: Line, output: str) -> onnx.GraphProto:
    return graph_of([node_of(line)], [], output)


def test_a_softmax_in_a_branch_is_seen_between_products_outside(tmp_path: Path) -> None:
    choice = helper.make_node(
        "If", ["on"], ["p"], then_branch=branch("Softmax s -> a", "a"), else_branch=branch("Identity s -> b", "b")
    )
    nodes = [node_of("Cast m -> on"), node_of("MatMul x,m -> s"), choice, node_of("MatMul p,x -> y")]
    assert attention_seen(saved(tmp_path, nodes)).attention is AttentionType.UNKNOWN


@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_attention_in_the_body_of_a_loop_is_seen(tmp_path: Path, kind: str) -> None:
    lines = ["MatMul state,x -> s", "Softmax s -> p", "MatMul p,x -> next"]
    first = ["turn", "go"] if kind == "Loop" else []
    more = [node_of("Identity go -> goes")] if kind == "Loop" else []
    body = graph_of([*more, *(node_of(line) for line in lines)], [*first, "state"], "next")
    if kind == "Loop":
        body.output.insert(0, tensor("goes", [], TensorProto.BOOL))
    node = helper.make_node(kind, [*(["w_turns", ""] if kind == "Loop" else []), "m"], ["y"], body=body)
    assert attention_seen(saved(tmp_path, [node])).attention is AttentionType.UNKNOWN


@pytest.mark.parametrize(
    ("after", "label"), [("MatMul l,x -> y", AttentionType.UNKNOWN), ("Identity l -> y", AttentionType.NONE)]
)
def test_what_a_loop_gives_goes_on_after_it(tmp_path: Path, after: Line, label: AttentionType) -> None:
    body = graph_of([node_of("Identity go -> goes"), node_of("Softmax state -> next")], ["turn", "go", "state"], "next")
    body.output.insert(0, tensor("goes", [], TensorProto.BOOL))
    nodes = [node_of("MatMul x,m -> s"), helper.make_node("Loop", ["w", "", "s"], ["l"], body=body), node_of(after)]
    assert attention_seen(saved(tmp_path, nodes)).attention is label


def function(name: str, inputs: list[str], outputs: list[str], lines: list[Line]) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, inputs, outputs, [node_of(line) for line in lines], opsets)


def test_attention_that_is_spread_over_local_functions_is_seen(tmp_path: Path) -> None:
    functions = [
        function("Scores", ["a", "b"], ["s"], ["MatMul a,b -> s"]),
        function("Share", ["a", "b"], ["p"], ["Scores@own a,b -> s", "Softmax s -> p"]),
        function("Mix", ["p", "v"], ["y"], ["MatMul p,v -> y"]),
    ]
    nodes = [node_of("Share@own x,m -> p"), node_of("Mix@own p,x -> y")]
    assert attention_seen(saved(tmp_path, nodes, functions)).attention is AttentionType.UNKNOWN


def test_a_local_function_is_what_is_in_it_and_not_what_it_is_called(tmp_path: Path) -> None:
    functions = [function("Attention", ["a"], ["b"], ["Relu a -> b"])]
    assert attention_seen(saved(tmp_path, [node_of("Attention@own x -> y")], functions)) == Seen()


def test_operators_of_fovea_are_layers_in_order_and_the_most_frequent_is_the_label(tmp_path: Path) -> None:
    nodes = [
        node_of("SimAM@ai.fovea x -> a", "first"),
        node_of("CBAMAddRelu@ai.fovea a,w,w,w,w,w,x -> b", "block"),
        node_of("CBAM@ai.fovea b,w,w,w,w,w -> c", "block"),
        node_of("MultiHeadAttention@ai.fovea c,c,c -> y"),
    ]
    found = attention_seen(saved(tmp_path, nodes))
    assert [(layer.name, layer.operator, layer.attention.value) for layer in found.attention_layers] == [
        ("first", "SimAM", "simam"),
        ("block", "CBAMAddRelu", "cbam"),
        ("block#2", "CBAM", "cbam"),
        ("MultiHeadAttention", "MultiHeadAttention", "multi_head"),
    ]
    assert (found.attention, found.unnamed) == (AttentionType.CBAM, "")


def test_what_is_beside_them_or_a_newer_operator_is_told(tmp_path: Path) -> None:
    beside = seen(tmp_path, ["SimAM@ai.fovea x -> a", "Attention a,a,a -> y"])
    assert (beside.attention, beside.unnamed) == (AttentionType.SIMAM, f"{NOT_RECOGNISED}: 1 x attention operator")
    assert seen(tmp_path, ["Newer@ai.fovea x -> y"]).attention is AttentionType.UNKNOWN


@pytest.mark.parametrize("model", COMMITTED)
def test_the_exported_models_are_seen_as_their_cards_say(model: str) -> None:
    card = ModelCard.read(COMMITTED[model] / "card.json")
    found = attention_seen(COMMITTED[model] / "model.onnx")
    expected = tuple((layer.name, layer.operator) for layer in card.layers)
    label = {AttentionType.SELF: AttentionType.MULTI_HEAD}.get(card.attention, card.attention)  # heads are not counted
    assert (found.attention, found.layers, found.unnamed) == (label, expected, "")


def laughs(levels: int) -> list[onnx.FunctionProto]:
    """Each function calls the one before it twice."""
    first = function("f0", ["a"], ["b"], ["Relu a -> b"])
    return [first] + [
        function(f"f{level}", ["a"], ["b"], [f"f{level - 1}@own a -> c", f"f{level - 1}@own c -> b"])
        for level in range(1, levels)
    ]


HOSTILE = {
    "functions that call each other for ever": ("f@own x -> y", [function("f", ["a"], ["b"], ["f@own a -> b"])]),
    "functions that unfold without end": ("f29@own x -> y", laughs(30)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_looked_into_is_not_called_a_baseline(tmp_path: Path, what: str) -> None:
    line, functions = HOSTILE[what]
    found = attention_seen(saved(tmp_path, [node_of(line)], functions))
    assert (found.attention, "cannot be looked into" in found.unnamed) == (AttentionType.UNKNOWN, True)


@pytest.mark.parametrize("content", [b"", b"text", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_a_file_that_is_no_model_has_its_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    assert "cannot be looked into" in attention_seen(tmp_path / "model.onnx").unnamed


def test_no_damage_to_a_file_is_more_than_it_can_bear(tmp_path: Path) -> None:
    whole = (COMMITTED["fashion-vit"] / "model.onnx").read_bytes()
    rng, model = random.Random(0), tmp_path / "model.onnx"
    for _ in range(200):
        damaged = bytearray(whole[: rng.choice([4000, len(whole)])])
        for _ in range(rng.randint(1, 30)):
            damaged[rng.randrange(4000)] = rng.randrange(256)
        model.write_bytes(damaged)
        assert isinstance(attention_seen(model), Seen)


def test_it_is_told_as_json(tmp_path: Path) -> None:
    found = seen(tmp_path, ["SimAM@ai.fovea x -> a", "Attention a,a,a -> y"])
    assert Seen.of_json(found.to_json()) == found
