"""Whether batching as the server decides is worth it: against batching off, and against padding all to the longest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.benchmarks import models
from tests.benchmarks.load import IN_FLIGHT, MixedTraffic, Traffic, request_body, request_message
from tests.benchmarks.processes import Server, fovea_server
from tests.benchmarks.report import Finding
from tests.benchmarks.rounds import Effort, rates_in_turn
from tests.encoder_model import VOCABULARY

WIDTHS = (128, 384)
MESSAGES = 256
_ROUNDS_FOR_A_TIE = 6
"""Times the usual ones: where the server decides for single rows both sides do the same, and only noise is measured."""


def lengths(count: int = MESSAGES) -> list[int]:
    """Lognormal, 4 to 128 tokens: half of them below 23, one in ten above 60."""
    drawn = np.random.default_rng(0).lognormal(mean=np.log(23), sigma=0.75, size=4 * count)
    whole = [int(length) for length in drawn if 4 <= length <= models.LONGEST]
    return whole[:count]


def mixed_lengths(repository: Path, effort: Effort) -> Iterator[Finding]:
    """Rows a second of sequences of mixed lengths on transformer encoders."""
    for width in WIDTHS:
        models.write_encoder_pair(repository, width)
    with fovea_server(repository) as server:
        for width in WIDTHS:
            yield from _mixed_lengths(server, f"encoder-{width}", effort)


def _mixed_lengths(server: Server, name: str, effort: Effort) -> Iterator[Finding]:
    served, single, padded = "as served", "one by one", "padded to the longest"
    rates = rates_in_turn(
        server, {served: _sequences(name), single: _sequences(f"{name}-single"), padded: _padded(name)}, effort
    )
    details = {f"{side} rows/s": rates.median(side) for side in (served, single, padded)}
    what = f"rows/s, {name}, 4 to {models.LONGEST} tokens, {IN_FLIGHT} in flight"
    for other, target, noise in ((single, 1.0, rates.noise(served, single)), (padded, 2.0, 0.0)):
        yield Finding(f"{what} / {other}", rates.ratio(served, other), "at least", target, "x", details, noise)


def large_rows(repository: Path, effort: Effort) -> Finding:
    """Rows a second of SimAM alone, 800 KB in and out, as the server batches it, against batching off."""
    models.export_simam(repository)
    row = np.random.default_rng(0).standard_normal((1, *models.SIMAM_SHAPE), np.float32)
    names = ("simam", "simam-single")
    with fovea_server(repository) as server:
        sides = {name: Traffic(request_body(name, {"x": row}), 0) for name in names}
        rates = rates_in_turn(server, sides, effort, _ROUNDS_FOR_A_TIE)
    served, single = (rates.median(name) for name in names)
    details = {"as served rows/s": served, "batching off rows/s": single}
    what = f"rows/s, SimAM {'x'.join(map(str, models.SIMAM_SHAPE))}, {IN_FLIGHT} in flight / batching off"
    return Finding(what, served / single, "at least", 1.0, "x", details, rates.noise(*names))


def _sequences(name: str) -> MixedTraffic:
    return MixedTraffic(tuple(request_message(name, {"tokens": _tokens(length)}) for length in lengths()), 0)


def _padded(name: str) -> MixedTraffic:
    """What a client does where a server cannot pad: every request at the greatest length, with its own mask."""
    messages = []
    for length in lengths():
        tokens, mask = (np.zeros((1, models.LONGEST), kind) for kind in (np.int64, np.bool_))
        tokens[:, :length], mask[:, :length] = _tokens(length), True
        messages.append(request_message(name, {"tokens": tokens, "mask": mask}))
    return MixedTraffic(tuple(messages), 0)


def _tokens(length: int) -> np.ndarray:
    return np.random.default_rng(length).integers(0, VOCABULARY, (1, length))
