"""ONNX files that mean harm: weights that lie elsewhere, numbers that are too large, work without end.

Each function writes one, without a card, into a version's folder, which is not there yet; `outside` is a folder
outside the repository.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from tests.servers import tensor

MODEL = "model.onnx"
Write = Callable[[Path, Path], None]


def _graph(folder: Path, nodes: list[onnx.NodeProto], weights: list[TensorProto] | None = None) -> None:
    """A file without a card: x (n, 4) to y (n, 4)."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(nodes, "hostile", [tensor("x", ["n", 4])], [tensor("y", ["n", 4])], weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (folder / MODEL).write_bytes(model.SerializeToString())


def _external(folder: Path, location: str) -> None:
    """A weight whose data lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    _graph(folder, [helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def _external_above(folder: Path, outside: Path) -> None:
    _external(folder, os.path.relpath(outside / "secret.bin", folder))


def _external_absolute(folder: Path, outside: Path) -> None:
    _external(folder, str(outside / "secret.bin"))


def _external_by_link(folder: Path, outside: Path) -> None:
    _external(folder, "data.bin")
    (folder / "data.bin").symlink_to(outside / "secret.bin")


def _external_by_linked_folder(folder: Path, outside: Path) -> None:
    _external(folder, "data/secret.bin")
    (folder / "data").symlink_to(outside)


def _external_longer_than_its_file(folder: Path, _outside: Path) -> None:
    _external(folder, "data.bin")
    (folder / "data.bin").write_bytes(b"\0" * 3)


def _huge_dims(folder: Path, _outside: Path) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**31, 2**31], raw_data=b"\0" * 16)
    _graph(folder, [helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def _negative_dims(folder: Path, _outside: Path) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4], raw_data=b"\0" * 16)
    _graph(folder, [helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def _constant(name: str, *values: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value_ints=list(values))


def _bomb(folder: Path, _outside: Path) -> None:
    """A few bytes that are 256 GB when constants are folded."""
    _graph(
        folder,
        [
            _constant("shape", 2**36),
            _constant("axes", 0),
            helper.make_node("ConstantOfShape", ["shape"], ["ones"]),
            helper.make_node("ReduceSum", ["ones", "axes"], ["sum"]),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
    )


def _bomb_in_steps(folder: Path, _outside: Path) -> None:
    """Each step is 64 times what was before it: 2 to the 36 after six."""
    nodes = [_constant("h0", *range(64)), _constant("times", 64)]
    for step in range(5):
        nodes.append(helper.make_node("Tile", [f"h{step}", "times"], [f"h{step + 1}"]))
    nodes += [
        _constant("axes", 0),
        helper.make_node("ReduceSum", ["h5", "axes"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "real"], ["y"]),
    ]
    _graph(folder, nodes)


def _sparse_bomb(folder: Path, _outside: Path) -> None:
    """Two numbers in a sparse tensor of 2 to the 38."""
    values = helper.make_tensor("values", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("indices", TensorProto.INT64, [2], [0, 5])
    sparse = helper.make_sparse_tensor(values, indices, [2**38])
    nodes = [
        helper.make_node("Constant", [], ["w"], sparse_value=sparse),
        _constant("axes", 0),
        helper.make_node("ReduceSum", ["w", "axes"], ["sum"]),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    _graph(folder, nodes)


def _endless_loop(folder: Path, _outside: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_again"]), helper.make_node("Sin", ["value"], ["next"])],
        "round",
        [tensor("i", [], TensorProto.INT64), tensor("on", [], TensorProto.BOOL), tensor("value", ["n", 4])],
        [tensor("on_again", [], TensorProto.BOOL), tensor("next", ["n", 4])],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["on"], value=yes),
        helper.make_node("Loop", ["", "on", "x"], ["y"], body=body),
    ]
    _graph(folder, nodes)


def _deep_graph(folder: Path, _outside: Path) -> None:
    """Graphs within graphs, each there twice in the next: 2 to the 18 of the innermost."""
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "g", [], [tensor("z", ["n", 4])])
    for _ in range(18):
        node = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [tensor("z", ["n", 4])])
    nodes = [yes, helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    _graph(folder, nodes)


def _unknown_operator(folder: Path, _outside: Path) -> None:
    _graph(folder, [helper.make_node("Exec", ["x"], ["y"])])


def _cycle(folder: Path, _outside: Path) -> None:
    _graph(folder, [helper.make_node("Add", ["x", "y"], ["h"]), helper.make_node("Neg", ["h"], ["y"])])


GRAPHS: tuple[Write, ...] = (
    _external_above,
    _external_absolute,
    _external_by_link,
    _external_by_linked_folder,
    _external_longer_than_its_file,
    _huge_dims,
    _negative_dims,
    _bomb,
    _bomb_in_steps,
    _sparse_bomb,
    _endless_loop,
    _deep_graph,
    _unknown_operator,
    _cycle,
)
