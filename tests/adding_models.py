"""Versions that tell themselves apart: y = x + `value`, with a golden batch; and callers that never rest."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from onnx import helper, numpy_helper

from fovea import wire
from fovea.contract.attention import AttentionType
from fovea.contract.model_card import CARD_FILE, GOLDEN_FILE, MODEL_FILE, ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.files import file_sha256
from fovea.runtime.golden import write_golden
from servers import infer_request, save_model, tensor

MODEL = "adding"
X = np.arange(4, dtype=np.float32).reshape(1, 4)


def write_version(repository: Path, value: float, version: int = 1, golden_value: float | None = None) -> Path:
    """A version of `adding`, whole at once; `golden_value` where its golden batch is that of another."""
    whole = write_files(repository / ".making", value, version, golden_value)
    place = repository / MODEL / str(version)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    return whole.rename(place)


def write_files(repository: Path, value: float, version: int = 1, golden_value: float | None = None) -> Path:
    """The same, file by file."""
    shutil.rmtree(repository / MODEL / str(version), ignore_errors=True)
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(value, np.float32), "c"))
    nodes = [constant, helper.make_node("Add", ["x", "c"], ["y"])]
    folder = save_model(repository, MODEL, nodes, [tensor("x", ["n", 4])], [tensor("y", ["n", 4])], version)
    answer = X + np.float32(value if golden_value is None else golden_value)
    write_golden(folder / GOLDEN_FILE, {"x": X}, {"y": answer}, {})
    specs = [TensorSpec(name=name, datatype="FP32", shape=(-1, 4)) for name in "xy"]
    card = ModelCard(
        name=MODEL,
        attention=AttentionType.NONE,
        inputs=(specs[0],),
        outputs=(specs[1],),
        batched=True,
        parameters=1,
        opset=21,
        tolerances={"y": 1e-6},
        sha256={name: file_sha256(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)},
    )
    (folder / CARD_FILE).write_text(card.to_json())
    return folder


@dataclass
class Answers:
    """What callers got: (version, value) in the order it came, and what went wrong."""

    got: list[tuple[str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def last(self) -> tuple[str, float] | None:
        return self.got[-1] if self.got else None


@contextmanager
def calling(address: str, callers: int = 4) -> Iterator[Answers]:
    """Callers that send one request after another, until the end."""
    answers, stop = Answers(), threading.Event()
    with grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            wire.path("ModelInfer"), response_deserializer=wire.message("ModelInferResponse").FromString
        )
        threads = [threading.Thread(target=_call, args=(infer, answers, stop)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _call(infer: Any, answers: Answers, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            answer = infer(infer_request(MODEL, X), timeout=30)
        except grpc.RpcError as error:
            answers.errors.append(f"{error.code()}: {error.details()}")
            continue
        (value,) = set((np.frombuffer(answer.raw_output_contents[0], np.float32) - X[0]).tolist())
        answers.got.append((answer.model_version, value))
