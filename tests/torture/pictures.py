"""Pictures that are as dear to decode as any may be, for one model: another model's pictures come between them."""

from __future__ import annotations

import io
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from PIL import Image
from tests.servers import RunningServer, running_server
from tests.torture.effort import Run
from tests.torture.models import EXPORTED, steady_model
from tests.torture.neighbours import answers_right, neighbours
from tests.torture.report import Report, at_most, none_of
from tests.torture.watch import unforeseen

from fovea import wire
from fovea.inputs.picture_parts import MAX_SCANS

_FLOODED, _OTHER = "fashion-cbam", "fashion-se"
_BOOT = (EXPORTED.parent / "docs" / "ankle-boot.png").read_bytes()
_PATIENCE_S = 300.0
_SIDE = 4096
_REQUESTS = 2
_DEAR_AHEAD = 4.0
"""Two are being decoded when another model's picture comes; twice that, for what shares the processor."""


def run(given: Run) -> Report:
    """Each kind of dear picture alone, then requests full of them, and a picture for another model again and again."""
    repository = steady_model(given.scratch)
    for model in (_FLOODED, _OTHER):
        shutil.copytree(EXPORTED / model, repository / model)
    figures: dict[str, float | str] = {}
    wrong: list[str] = []
    slowest = 0.0
    with running_server(repository, given.lane, "--log-level=warning") as server, neighbours(server) as beside:
        for name, picture in _dear().items():
            alone_s, told = _asked(server, _FLOODED, [picture])
            waited_s, complaints = _meanwhile(server, [picture] * given.effort.dear_pictures)
            slowest = max(slowest, waited_s / alone_s)
            figures |= {f"{name}, alone, s": alone_s, f"{name}, a small one's longest wait, s": waited_s}
            wrong += [*complaints, *told]
        wrong += [f"{name}: {told}" for name, data in _too_dear().items() if not (told := _refused(server, data))]
        judged = given.effort.judged_by_time
        promises = (
            none_of("dear pictures are answered, those that are too dear refused", wrong),
            at_most("another model's small picture waits for", slowest, _DEAR_AHEAD, "dear ones", judged),
            none_of("nothing unforeseen is logged", unforeseen(server)),
            answers_right(server, "dear pictures"),
        )
    figures["neighbours' slowest, ms"] = beside.slowest_s * 1000
    return Report("pictures", figures, (*promises, beside.promise()))


def _meanwhile(server: RunningServer, pictures: list[bytes]) -> tuple[float, list[str]]:
    """How long a small picture for the other model waits at most while requests full of others are answered."""
    slowest_s, complaints = 0.0, []
    with _flood(server, pictures) as flood:
        while not all(one.done() for one in flood):
            took_s, told = _asked(server, _OTHER, [_BOOT])
            slowest_s, complaints = max(slowest_s, took_s), complaints + told
        complaints += [text for one in flood for text in one.result()[1]]
    return slowest_s, complaints


@contextmanager
def _flood(server: RunningServer, pictures: list[bytes]) -> Iterator[list[Future[tuple[float, list[str]]]]]:
    with ThreadPoolExecutor(_REQUESTS) as callers:
        yield [callers.submit(_asked, server, _FLOODED, pictures) for _ in range(_REQUESTS)]


def _asked(server: RunningServer, model: str, pictures: list[bytes]) -> tuple[float, list[str]]:
    """How long it took, and what went wrong."""
    raw = b"".join(struct.pack("<I", len(picture)) + picture for picture in pictures)
    tensor = {"name": "input", "datatype": "BYTES", "shape": [len(pictures)]}
    request = wire.message("ModelInferRequest")(model_name=model, inputs=[tensor], raw_input_contents=[raw])
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    begun_s = time.monotonic()
    with grpc.insecure_channel(server.grpc, options) as channel:
        try:
            channel.unary_unary(wire.path("ModelInfer"))(request.SerializeToString(), timeout=_PATIENCE_S)
        except grpc.RpcError as error:
            return time.monotonic() - begun_s, [f"{error.code().name}: {error.details()}"]
    return time.monotonic() - begun_s, []


def _refused(server: RunningServer, picture: bytes) -> bool:
    return any(told.startswith("INVALID_ARGUMENT") for told in _asked(server, _FLOODED, [picture])[1])


def _dear() -> dict[str, bytes]:
    transparent = io.BytesIO()
    Image.new("RGBA", (_SIDE, _SIDE), (1, 2, 3, 100)).save(transparent, "PNG")
    return {"of most scans": _scanned(MAX_SCANS), "transparent": transparent.getvalue()}


def _too_dear() -> dict[str, bytes]:
    small = io.BytesIO()
    Image.new("L", (8, 8)).save(small, "PNG")
    head, rest = small.getvalue()[:33], small.getvalue()[33:]
    empty, profile = _chunk(b"prVt", b""), _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000)))
    return {
        "of too many scans": _scanned(MAX_SCANS + 1),
        "of too many chunks": head + 160_000 * empty + rest,
        "of too many profiles": head + 1000 * profile + rest,
    }


def _scanned(scans: int) -> bytes:
    """A JPEG of so many; the last one comes again and again."""
    data = io.BytesIO()
    Image.new("L", (_SIDE, _SIDE), 127).save(data, "JPEG", progressive=True)
    whole = data.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (scans - whole.count(b"\xff\xda")) + whole[-2:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
