"""What PyTorch itself answers, in float64 and in float32: outputs and attention maps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fovea.attention.registration import OPERATOR_OF
from fovea.contract.errors import ExportFailed
from fovea.runtime.arrays import Arrays


@dataclass(frozen=True)
class AttentionCall:
    """One call of a `torch.ops.fovea` operator: the contract's operator name and its maps in order."""

    operator: str
    maps: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Answer:
    """The flat outputs of a module, and what its attention did on the way."""

    outputs: tuple[NDArray[Any], ...]
    attention: tuple[AttentionCall, ...]

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """The outputs, then the maps: what `maps.onnx` gives."""
        return [*self.outputs, *(array for call in self.attention for array in call.maps)]


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every attention operator that is called while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[AttentionCall] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operator = OPERATOR_OF.get(func.name())
        if operator is not None:
            self.calls.append(AttentionCall(operator, tuple(tensor.numpy() for tensor in result[1:])))
        return result


class Reference:
    """A module as the oracle of its export. It is copied: the caller's module stays as it is."""

    def __init__(self, module: nn.Module) -> None:
        self._single = copy.deepcopy(module).eval()
        self._double = copy.deepcopy(module).eval().double()
        self._found: Callable[..., tuple[AttentionCall, ...]] | None = None

    def seeing(self, found: Callable[..., tuple[AttentionCall, ...]]) -> Reference:
        """The same oracle, whose answers have further attention after the module's own: `found(inputs, exact=...)`."""
        wider = copy.copy(self)
        wider._found = found
        return wider

    def answer(self, inputs: Arrays) -> Answer:
        """In float64; floating-point inputs are widened."""
        answer = _run(self._double, [_widened(array) for array in inputs.values()], "in float64")
        return self._with_found(answer, inputs, exact=True)

    def answer_float32(self, inputs: Arrays) -> Answer:
        """As the module computes by itself: the measure of what float32 can give."""
        answer = _run(self._single, [torch.tensor(array) for array in inputs.values()], "in float32")
        return self._with_found(answer, inputs, exact=False)

    def _with_found(self, answer: Answer, inputs: Arrays, *, exact: bool) -> Answer:
        found = self._found(inputs, exact=exact) if self._found else ()
        return replace(answer, attention=(*answer.attention, *found))


def _widened(array: NDArray[Any]) -> Tensor:
    return torch.tensor(array.astype(np.float64) if array.dtype.kind == "f" else array)


def _run(module: nn.Module, inputs: Sequence[Tensor], precision: str) -> Answer:
    watch = _Watch()
    try:
        with torch.no_grad(), _traced_path(), watch:
            result = module(*inputs)
    except Exception as error:  # forward is the user's own code
        raise ExportFailed(f"the module fails on its inputs {precision}: {first_line(error)}") from error
    leaves = torch.utils._pytree.tree_leaves(result)
    return Answer(tuple(leaf.numpy() for leaf in leaves if isinstance(leaf, Tensor)), tuple(watch.calls))


@contextmanager
def _traced_path() -> Iterator[None]:
    """Without torch's shortcut through `nn.TransformerEncoder`, which no trace takes.

    It leaves the padding out: zeros stand there, and where every row has some, its output is shorter.
    """
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def first_line(error: BaseException) -> str:
    """The error's first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"no key {lines[0]}" if isinstance(error, KeyError) else lines[0]
