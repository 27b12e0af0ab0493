"""What a session takes and gives, as it is served: every input and output as a tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime

from fovea.contract.errors import ModelBroken
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.ort_errors import short_reason
from fovea.runtime.value_forms import Form, Value, class_names, value_of

_SIZES = (*range(1, 65), 128, 256, 512, 1024, 2048)
"""Tried for axes of unknown size, until a made-up row runs."""


@dataclass(frozen=True)
class Description:
    """What a session takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    optional: tuple[str, ...] = ()
    """Inputs that may be left out, since they have an optional type or a default value."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Output -> its classes, for those whose values bear the names of their classes."""


def describe(session: onnxruntime.InferenceSession, named: Collection[str] = ()) -> Description:
    """What can be served of a session; ModelBroken where that is not everything.

    Initializers that may be overridden are inputs where they are `named`: files of old have every weight among them.
    """
    defaults = [tensor for tensor in session.get_overridable_initializers() if tensor.name in named]
    found = [*session.get_inputs(), *defaults]
    values = [value_of(tensor, is_input=True) for tensor in found]
    inputs = tuple(_spec(value, tensor.shape) for value, tensor in zip(values, found, strict=True))
    if not inputs or not session.get_outputs():
        raise ModelBroken("a model needs at least one input and one output")
    optional = [value.name for value in values if value.form is Form.OPTIONAL] + [tensor.name for tensor in defaults]
    outputs, labels = _outputs(session, inputs[: len(session.get_inputs())])
    return Description(inputs, outputs, tuple(optional), labels)


def specs(session: onnxruntime.InferenceSession) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a session."""
    found = describe(session)
    return found.inputs, found.outputs


def _outputs(
    session: onnxruntime.InferenceSession, inputs: Iterable[TensorSpec]
) -> tuple[tuple[TensorSpec, ...], dict[str, tuple[str, ...]]]:
    """What they are, and the labels of those that bear some; the shape of what is no tensor is found by running it."""
    values = [value_of(tensor) for tensor in session.get_outputs()]
    unseen = [value for value in values if value.form in (Form.CLASSES, Form.SEQUENCE)]
    seen = _seen(session, inputs, unseen) if unseen else {}
    outputs: list[TensorSpec] = []
    labels: dict[str, tuple[str, ...]] = {}
    for value, tensor in zip(values, session.get_outputs(), strict=True):
        if value.form is Form.CLASSES:
            names = class_names(seen.get(value.name, []))
            labels |= {value.name: tuple(map(str, names))} if names else {}
            outputs.append(_spec(value, (-1, len(names) or -1)))
        else:
            found = seen.get(value.name)
            outputs.append(_spec(value, tensor.shape if found is None else (-1,) * value.array(found).ndim))
    return tuple(outputs), labels


def _seen(
    session: onnxruntime.InferenceSession, inputs: Iterable[TensorSpec], unseen: Sequence[Value]
) -> dict[str, Any]:
    """What a made-up row gives of these outputs; nothing where none runs, as with texts that must be of a category.

    ModelBroken where their number of axes would remain unknown.
    """
    names, reason = [value.name for value in unseen], ""
    for size in _SIZES:
        try:
            return dict(zip(names, session.run(names, _row(inputs, size)), strict=True))
        except Exception as error:
            reason = reason or short_reason(error)
    if sequences := [value.name for value in unseen if value.form is Form.SEQUENCE]:
        raise ModelBroken(
            f"{sequences[0]} is no tensor, and made-up rows, which would show what is in it, fail: {reason}"
        )
    return {}


def _row(inputs: Iterable[TensorSpec], size: int) -> dict[str, Any]:
    return {spec.name: _zeros(spec, size) for spec in inputs}


def _zeros(spec: TensorSpec, size: int) -> Any:
    shape = [1 if known == -1 and not axis else size if known == -1 else known for axis, known in enumerate(spec.shape)]
    return np.full(shape, "", np.object_) if spec.datatype == "BYTES" else np.zeros(shape, NUMPY_DTYPE[spec.datatype])


def _spec(value: Value, sizes: Iterable[Any]) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in sizes)
    return TensorSpec.model_validate({"name": value.name, "datatype": value.datatype, "shape": shape})
