"""Python's garbage collector looks at what comes and goes, and not again and again at what the server is made of."""

from __future__ import annotations

from pathlib import Path

from onnx import helper

from rest_calls import rest
from servers import running_server, save_model, tensor

TELL_AT_THE_END = """
import atexit, gc, sys
atexit.register(lambda: print("set aside", gc.get_freeze_count(), "looked at", len(gc.get_objects()), file=sys.stderr))
"""


def test_a_server_that_has_answered_leaves_hardly_anything_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_AT_THE_END)
    node = helper.make_node("Identity", ["x"], ["y"])
    save_model(tmp_path / "models", "identity", [node], [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    ask = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0] * 4}]}
    with running_server(tmp_path / "models", environment={"PYTHONPATH": str(tmp_path)}) as server:
        assert rest(server, "/v2/models/identity/infer", ask)[0] == 200
        assert server.terminate() == 0
    _, _, set_aside, _, _, looked_at = next(line for line in server.errors if line.startswith("set aside")).split()
    assert 0 < 10 * int(looked_at) < int(set_aside)
