"""Opens a version's file, held against what its card says of it."""

from __future__ import annotations

from pathlib import Path

from onnxruntime import InferenceSession

from fovea.contract.errors import ModelBroken
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.description import describe
from fovea.runtime.ort_session import SessionSettings, fused_operators, open_session
from fovea.runtime.session import KernelUse, ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.tally import open_tally


def open_model(model: Path, signature: Signature, settings: SessionSettings) -> ModelSession:
    """A session of `model`; ModelBroken where it cannot be opened or its tensors are not the card's."""
    session = open_session(model, settings)
    found = describe(session, [spec.name for spec in signature.inputs])
    _require_agreement(model, "inputs", signature.inputs, found.inputs)
    _require_agreement(model, "outputs", signature.outputs, found.outputs)
    kernels = _kernel_use(session, settings.kernel_library)
    return ModelSession(session, signature, settings.device, kernels, shrinks=settings.shrink_arena)


def _kernel_use(session: InferenceSession, library: Path | None) -> KernelUse:
    fused = fused_operators(session) if library else frozenset[str]()
    return KernelUse(fused, open_tally(library) if library and fused else None)


def _require_agreement(model: Path, what: str, stated: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]) -> None:
    """The card's tensors must be the file's, in the same order."""
    if [spec.name for spec in stated] != [spec.name for spec in found]:
        names = [[spec.name for spec in side] for side in (stated, found)]
        raise ModelBroken(f"{model.name}: the card's {what} are {names[0]}, the file's {names[1]}")
    for mine, its in zip(stated, found, strict=True):
        if not _agree(mine, its):
            raise ModelBroken(
                f"{model.name}: {mine.name} is {mine.datatype}{list(mine.shape)} in the card, "
                f"{its.datatype}{list(its.shape)} in the file"
            )


def _agree(mine: TensorSpec, its: TensorSpec) -> bool:
    """A size the file leaves open may be known to the card."""
    return mine.datatype == its.datatype and its.admits(mine.shape)
