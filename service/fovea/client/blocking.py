"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from numpy.typing import ArrayLike

from fovea.client import calls
from fovea.client.answers import Answer, ModelInfo, ModelState, ServerInfo, Statistics
from fovea.client.caller import Caller
from fovea.client.calls import Call, InferOptions
from fovea.client.errors import error_of
from fovea.contract.errors import FoveaError

T = TypeVar("T")


class Client(Caller):
    """A channel to one server, for any number of threads. Every method blocks, and raises a FoveaError."""

    _grpc = grpc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._channel.close()

    def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        outputs: Sequence[str] = (),
        version: str = "",
        **options: Unpack[InferOptions],
    ) -> Answer:
        """Run one request: input name -> array. All outputs, or those named, which may be attention maps."""
        call = calls.infer(model, inputs, outputs, version, options)
        return self._send(call, options.get("timeout_s"))

    def server(self) -> ServerInfo:
        """The server's name, version and extensions."""
        return self._send(calls.server())

    def metadata(self, model: str, version: str = "") -> ModelInfo:
        """A model's tensors and properties; the version that the server chooses where none is given."""
        return self._send(calls.metadata(model, version))

    def models(self) -> list[ModelState]:
        """Every version in the server's repository, ready or not."""
        return self._send(calls.models())

    def statistics(self, model: str = "", version: str = "") -> list[Statistics]:
        """What every ready version has done, or those of one model, or one of them."""
        return self._send(calls.statistics(model, version))

    def load(
        self,
        model: str,
        config: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Load or reload a model, back when it is ready; `config` is Triton's, files go by "<version>/<name>"."""
        self._send(calls.load(model, config, files or {}), timeout_s)

    def unload(self, model: str, timeout_s: float | None = None) -> None:
        """Unload a model, back when its last request is answered."""
        self._send(calls.unload(model), timeout_s)

    def ready(self, model: str = "", version: str = "") -> bool:
        """Whether the server, or a version of a model, takes requests."""
        return self._send(calls.ready(model, version))

    def healthy(self, service: str = "") -> bool:
        """Whether the server, or one model by its name, answers that it is serving; False where nobody answers."""
        try:
            return self.check(service)
        except FoveaError:
            return False

    def check(self, service: str = "") -> bool:
        """The same, with a FoveaError where there is no answer: NotFound where the server has no such model."""
        return self._send(calls.health(service))

    def _send(self, call: Call[T], timeout_s: float | None = None) -> T:
        attempts = self._attempts(call, timeout_s)
        while True:
            try:
                body = self._stubs[call.path](call.body, timeout=attempts.left_s, metadata=self._metadata)
            except grpc.RpcError as error:
                pause_s = attempts.pause_after(error_of(error, self._address))
            else:
                return call.read(body)
            time.sleep(pause_s)
