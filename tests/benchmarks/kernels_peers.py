"""OpenVINO, another runtime for networks on CPUs: what the same plain export costs there."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.kernels_sessions import Feed

NAME = "openvino"
SETTINGS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}


def has_openvino() -> bool:
    """Whether it is installed: it is in the extra `peers`, a large wheel that nothing else needs."""
    return find_spec(NAME) is not None


class OpenVino:
    """A network on one thread, compiled for the very batch that it is given."""

    def __init__(self, path: Path) -> None:
        import openvino

        self._openvino = openvino
        self._core = openvino.Core()
        self._model = self._core.read_model(path)

    def gather(self, feeds: Sequence[Feed]) -> None:
        """Compile for this batch, and bind it."""
        (feed,) = feeds
        self._model.reshape({name: list(array.shape) for name, array in feed.items()})
        self._request = self._core.compile_model(self._model, "CPU", SETTINGS).create_infer_request()
        for name, array in feed.items():
            self._request.set_tensor(name, self._openvino.Tensor(array))

    def run(self) -> None:
        """One inference, here and now."""
        self._request.infer()
