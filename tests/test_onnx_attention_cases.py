"""ONNX's own test cases of `Attention`: served rightly or refused in words, and right in MultiHeadAttention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

import fovea.attention.multi_head  # noqa: F401 - registers the operator
from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.export.function_bodies import overload_of
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from kernel_builds import own_library
from kernel_nodes import run_node
from one_node import arguments_of, model_of, run
from onnx_attention_cases import AttentionCase, HeadsCase, as_heads, attention_cases

REFUSED = {
    **dict.fromkeys(
        (
            "test_attention_4d_causal_bf16",
            "test_attention_4d_padded_kv_bf16",
            "test_attention_4d_causal_padded_kv_bf16",
            "test_attention_4d_attn_mask_causal_bf16",
            "test_attention_3d_causal_bf16",
        ),
        "Could not find an implementation for",  # ONNX Runtime has no bfloat16 on CPUs
    ),
    "test_attention_4d_diff_heads_mask4d_padded_kv": "inconsistent total_sequence_length",  # a mask for fewer keys
}
"""What ONNX Runtime itself cannot run -> what is said of it."""

ALL = {case.name: case for case in attention_cases()}
OF_HEADS = {name: heads for name, case in ALL.items() if (heads := as_heads(case)) is not None}


def served(case: AttentionCase, folder: Path, library: Path | None) -> list[NDArray[np.generic]]:
    """Answered by a session as the server opens it."""
    onnx.save(case.model, folder / "model.onnx")
    opened = open_session(folder / "model.onnx", SessionSettings(kernel_library=library))
    session = ModelSession(opened, Signature(*specs(opened), batched=False, max_batch_rows=1), CPU)
    return list(session.infer(case.inputs).values())


@pytest.fixture(params=["bodies", "kernels"])
def library(request: pytest.FixtureRequest) -> Path | None:
    return own_library() if request.param == "kernels" else None


@pytest.mark.parametrize("name", [name for name in ALL if name not in REFUSED])
def test_attention_is_served_as_onnx_has_it(name: str, library: Path | None, tmp_path: Path) -> None:
    ALL[name].require_right(served(ALL[name], tmp_path, library))


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_runtime_cannot_run_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    with pytest.raises((ModelBroken, ExecutionFailed), match=REFUSED[name]) as refusal:
        served(ALL[name], tmp_path, None)
    assert "\n" not in str(refusal.value)


def test_there_are_93_cases_and_those_of_plain_heads_are_among_them() -> None:
    assert len(ALL) == 93
    assert len(OF_HEADS) >= 20


def by_torch(case: HeadsCase) -> list[NDArray[np.generic]]:
    settings = [case.settings["scale"], bool(case.settings["causal"]), case.settings["window"]]
    outputs = torch.ops.fovea.multi_head_attention(*arguments_of("MultiHeadAttention", case.inputs), *settings)
    return [output.numpy() for output in outputs]


def by_body(case: HeadsCase) -> list[NDArray[np.generic]]:
    names = [name if name in case.inputs else "" for name in ("Q", "K", "V", "mask", "bias")]
    node = onnx.helper.make_node("MultiHeadAttention", names, ["Y", "P"], **case.settings)
    return run(model_of("MultiHeadAttention", overload_of(node), case.inputs, case.settings), case.inputs)


def by_kernel(case: HeadsCase) -> list[NDArray[np.generic]]:
    return run_node(own_library(), "MultiHeadAttention", case.inputs, settings=case.settings)


@pytest.mark.parametrize("answered", [by_torch, by_body, by_kernel])
@pytest.mark.parametrize("name", OF_HEADS)
def test_multi_head_attention_is_what_onnx_has_as_attention(name: str, answered: object) -> None:
    case = OF_HEADS[name]
    assert callable(answered)
    y, p = answered(case)
    step = 2e-3 if case.y.dtype == np.float16 else 1e-5
    np.testing.assert_allclose(y, case.y, rtol=1e-3, atol=step)
    if case.p is not None:
        np.testing.assert_allclose(p, case.p, rtol=1e-3, atol=step)
