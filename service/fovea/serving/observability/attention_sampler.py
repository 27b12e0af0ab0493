"""Attention time that no kernel tells: now and then a batch that was just served runs again, profiled.

A profile ends its session, so each sample opens a short-lived twin. That happens on a thread of its own, off the
request path, for one model at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from math import inf
from queue import SimpleQueue
from typing import Any, Literal, Protocol
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from fovea.contract.errors import FoveaError
from fovea.runtime.arrays import Arrays
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.profile import profile_attention
from fovea.serving.observability.recorder import Recorder

log = logging.getLogger(__name__)


class Sampled(Protocol):
    """A version whose attention time is sampled."""

    @property
    def loaded(self) -> LoadedVersion:
        """The loaded version, whose model is profiled."""

    @property
    def recorder(self) -> Recorder:
        """Where the times are counted."""


class AttentionSampler:
    """Takes a copy of one batch per version every `interval_s`; 0 turns sampling off."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due_s: WeakKeyDictionary[Sampled, float] = WeakKeyDictionary()
        self._work: SimpleQueue[tuple[Sampled, dict[str, NDArray[Any]]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="attention-sampler")
        self._thread.start()

    def offer(self, version: Sampled, requests: Sequence[Arrays]) -> None:
        """These requests just ran together: keep a copy if a sample is due."""
        if not self._interval_s or not version.loaded.profiled_operators:
            return
        if time.monotonic() < self._due_s.get(version, 0.0):
            return
        self._due_s[version] = inf  # until this one is done
        self._work.put((version, version.loaded.joined(requests)))

    def close(self, patience_s: float) -> bool:
        """Finish the samples in hand and stop; False where that takes longer than `patience_s`."""
        self._work.put(None)
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        """One sample; a function of its own, so that no variable keeps its version until the next one comes."""
        item = self._work.get()
        if item is None:
            return False
        version, inputs = item
        if not version.recorder.retired:
            self._sample(version, inputs)
            self._due_s[version] = time.monotonic() + self._interval_s
        return True

    def _sample(self, version: Sampled, inputs: dict[str, NDArray[Any]]) -> None:
        try:
            for op, seconds in profile_attention(version.loaded, inputs).items():
                if op in version.loaded.profiled_operators:
                    kernels: Literal["fused", "body"] = "fused" if op in version.loaded.fused_operators else "body"
                    version.recorder.attention_op(op, kernels, seconds)
        except FoveaError as error:
            log.warning("attention time of %s could not be sampled: %s", version.loaded.name, error)
        except Exception:
            log.exception("attention time of %s could not be sampled", version.loaded.name)
