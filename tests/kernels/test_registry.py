"""The registry of kernels: what it lists, what it registers for which device, and what the server makes of it."""

from __future__ import annotations

import os
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.datatypes import DATATYPES
from fovea.contract.model_card import ModelCard
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.function_bodies import BODIES
from fovea.runtime.device import CPU, Device
from fovea.runtime.kernel_choice import offer_for
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.kernel_registry import Kernel, kernels_in
from fovea.runtime.ort_session import DEVICE_ENTRY, fused_operators
from fovea.runtime.tally import open_tally
from kernel_builds import KERNELS, builder
from kernel_cases import map_case
from kernel_nodes import SANITIZED, run_node
from simam_version import write_version

CUDA = Device("cuda")


@pytest.fixture(scope="module")
def kernels(kernel_library: Path) -> frozenset[Kernel]:
    found = kernels_in(kernel_library)
    assert found is not None
    return found


def test_every_operator_with_a_kernel_has_one_for_both_floats_of_the_cpu(kernels: frozenset[Kernel]) -> None:
    operators = {kernel.operator for kernel in kernels if kernel.device == "cpu"}
    assert {Kernel(*one) for one in product(operators, ["cpu"], ["FP32", "FP16"])} <= kernels


def test_it_speaks_of_operators_datatypes_and_devices_that_there_are(kernels: frozenset[Kernel]) -> None:
    assert {kernel.operator for kernel in kernels} <= OPERATORS.keys()
    assert {kernel.datatype for kernel in kernels} <= DATATYPES.keys()
    assert {kernel.device for kernel in kernels} <= {CPU.kind, CUDA.kind}


def test_every_body_has_a_kernel_or_is_fused_by_onnx_runtime(kernels: frozenset[Kernel]) -> None:
    fused = {name for name, operator in OPERATORS.items() if operator.fused_by_onnx_runtime}
    having = {kernel.operator for kernel in kernels if kernel.device == "cpu"}
    assert {name for name, _ in BODIES} - fused <= having <= {name for name, _ in BODIES}


@pytest.mark.parametrize(("device", "fused"), [("cpu", {"SimAM"}), ("cuda", set()), ("npu", set())])
def test_a_session_gets_the_kernels_of_its_device_only(
    kernel_library: Path, tmp_path: Path, device: str, fused: set[str]
) -> None:
    write_version(tmp_path)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(DEVICE_ENTRY, device)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.register_custom_ops_library(str(kernel_library))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", options, providers=["CPUExecutionProvider"])
    assert fused_operators(session) == fused


def card_of(*operators: str) -> ModelCard:
    layers = [AttentionLayer(name=name, attention=AttentionType.SIMAM, operator=name) for name in operators]
    return ModelCard.model_construct(layers=tuple(layers))


def test_a_library_is_opened_for_a_model_that_it_has_a_kernel_for(kernel_library: Path) -> None:
    assert offer_for(card_of("ExternalAttention", "Foreign"), kernel_library, CPU) == kernel_library
    assert offer_for(card_of("MultiHeadAttention"), kernel_library, CPU) == kernel_library


@pytest.mark.parametrize(
    ("operator", "device", "cause"),
    [("MultiHeadAttention", CUDA, Cause.NOT_NEEDED), ("SimAM", CUDA, Cause.NO_KERNEL)],
)
def test_it_is_not_opened_for_one_that_it_has_none_for(
    kernel_library: Path, operator: str, device: Device, cause: Cause
) -> None:
    offer = offer_for(card_of(operator), kernel_library, device)
    assert isinstance(offer, Obstacle)
    assert (offer.cause, operator in offer.reason) == (cause, True)


def test_what_is_no_library_lists_none(tmp_path: Path) -> None:
    (tmp_path / "no.so").write_text(DOMAIN)
    assert kernels_in(tmp_path / "no.so") is None


@pytest.fixture(scope="module")
def library_with_twin(kernel_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with one more line in its registry: an operator that SimAM's kernels compute, on both devices."""
    if SANITIZED in os.environ:
        pytest.skip("the library's objects are those of another build")
    folder = tmp_path_factory.mktemp("twin")
    tools = builder.find_toolchain(None, None)
    table = (KERNELS / "registry.cc").read_text()
    line = '      {"SimAM", "T", "TT", true, cpu::Simam(), {}},\n'
    assert line in table
    twin = line.replace("SimAM", "Twin").replace("{}}", "cpu::Simam()}")
    (folder / "registry.cc").write_text(table.replace(line, line + twin))
    flags = ("-std=c++17", "-fPIC", "-fvisibility=hidden", f"-isystem{tools.headers}", f"-I{KERNELS}")
    subprocess.run([*tools.command, *flags, "-c", "registry.cc"], cwd=folder, check=True)
    others = [str(path) for path in kernel_library.parent.glob("*.o") if path.name != "registry.o"]
    library = folder / "libtwin.so"
    subprocess.run([*tools.command, "-shared", "registry.o", *others, "-o", library.name], cwd=folder, check=True)
    return library


def test_a_kernel_with_a_line_in_the_registry_is_run_and_tallied(
    library_with_twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATORS, "Twin", OPERATORS["SimAM"])
    case = map_case("SimAM", (1, 4, 5, 5))
    twin, simam = (run_node(library_with_twin, name, case.inputs, settings=case.settings) for name in ("Twin", "SimAM"))
    np.testing.assert_array_equal(twin, simam)
    tally = open_tally(library_with_twin)
    assert tally is not None
    assert tally.seconds().keys() == {"SimAM", "Twin"}


def test_a_line_of_the_registry_is_all_that_a_device_needs_to_have_a_kernel(
    library_with_twin: Path, kernels: frozenset[Kernel]
) -> None:
    found = kernels_in(library_with_twin)
    assert found is not None
    assert found - kernels == {Kernel(*one) for one in product(["Twin"], ["cpu", "cuda"], ["FP32", "FP16"])}
    assert offer_for(card_of("Twin"), library_with_twin, CUDA) == library_with_twin
