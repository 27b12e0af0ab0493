"""Versions that are broken or mean harm: each is a function that writes one into a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from tests.servers import tensor
from tests.torture.models import EXPORTED

MODEL = "model.onnx"
WHOLE = EXPORTED / "fashion-simam" / "1"
OTHER = EXPORTED / "fashion-cbam" / "1"
Write = Callable[[Path, Path], None]
"""Called with the version's folder, which is not there yet, and a folder outside the repository."""


def _graph(folder: Path, nodes: list[onnx.NodeProto], weights: list[TensorProto] | None = None) -> None:
    """A file without a card: x (n, 4) to y (n, 4)."""
    folder.mkdir(parents=True)
    graph = helper.make_graph(nodes, "hostile", [tensor("x", ["n", 4])], [tensor("y", ["n", 4])], weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (folder / MODEL).write_bytes(model.SerializeToString())


def _copied(folder: Path) -> Path:
    """A whole exported version, to be spoilt."""
    shutil.copytree(WHOLE, folder)
    return folder / MODEL


def _junk(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(np.random.default_rng(0).bytes(100_000))


def _empty(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).touch()


def _damaged(folder: Path, _outside: Path) -> None:
    model = _copied(folder)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0xFF
    model.write_bytes(data)


def _truncated(folder: Path, _outside: Path) -> None:
    model = _copied(folder)
    model.write_bytes(model.read_bytes()[:-1000])


def _truncated_without_card(folder: Path, outside: Path) -> None:
    _truncated(folder, outside)
    for path in folder.iterdir():
        if path.name != MODEL:
            path.unlink()


def _swapped(folder: Path, _outside: Path) -> None:
    shutil.copy(OTHER / MODEL, _copied(folder))


def _swapped_with_its_hash(folder: Path, outside: Path) -> None:
    _swapped(folder, outside)
    _rehash(folder, MODEL)


def _rehash(folder: Path, name: str) -> None:
    """Whoever spoils a file can write its hash into the card."""
    card = json.loads((folder / "card.json").read_text())
    card["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def _swapped_golden(folder: Path, _outside: Path) -> None:
    _copied(folder)
    shutil.copy(OTHER / "golden.npz", folder / "golden.npz")


def _link_outside(folder: Path, outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).symlink_to(outside / MODEL)


def _card_outside(folder: Path, outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").unlink()
    (folder / "card.json").symlink_to(outside / "card.json")


def _golden_outside(folder: Path, outside: Path) -> None:
    _copied(folder)
    (folder / "golden.npz").unlink()
    (folder / "golden.npz").symlink_to(outside / "golden.npz")


def _link_to_itself(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / MODEL).symlink_to(MODEL)


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


def _folder_for_a_file(folder: Path, _outside: Path) -> None:
    (folder / MODEL).mkdir(parents=True)


def _pipe(folder: Path, _outside: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / MODEL)


def _card_that_is_a_pipe(folder: Path, _outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").unlink()
    os.mkfifo(folder / "card.json")


def _golden_bomb(folder: Path, _outside: Path) -> None:
    """A golden batch of a few kilobytes that unpacks to 4 GB."""
    _copied(folder)
    with (
        zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("inputs/input.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)})
        for _ in range(64):
            file.write(bytes(1 << 26))
    _rehash(folder, "golden.npz")


def _nested_card(folder: Path, _outside: Path) -> None:
    _copied(folder)
    (folder / "card.json").write_text("[" * 500_000)


HOSTILE: dict[str, Write] = {
    write.__name__.strip("_").replace("_", "-"): write
    for write in (
        *(_junk, _empty, _damaged, _truncated, _truncated_without_card, _swapped),
        *(_swapped_with_its_hash, _swapped_golden),
        *(_link_outside, _card_outside, _golden_outside, _link_to_itself),
        *(_external_above, _external_absolute, _external_by_link, _external_by_linked_folder),
        *(_external_longer_than_its_file, _huge_dims, _negative_dims, _bomb, _bomb_in_steps, _sparse_bomb),
        *(_endless_loop, _deep_graph, _unknown_operator, _cycle, _folder_for_a_file, _pipe),
        *(_card_that_is_a_pipe, _golden_bomb, _nested_card),
    )
}
"""By the name of the model that each becomes."""


def outside_folder(folder: Path) -> list[Path]:
    """A whole version and a secret, outside of every repository: its files."""
    shutil.copytree(WHOLE, folder)
    (folder / "secret.bin").write_bytes(np.ones(4, np.float32).tobytes())
    return sorted(folder.iterdir())
