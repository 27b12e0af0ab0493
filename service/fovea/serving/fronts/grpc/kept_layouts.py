"""Requests that are alike, byte for byte, but for their ids and their raw data: they need no look at their fields."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from fovea.serving.fronts.grpc.request_fields import RequestFields
from fovea.serving.requests.infer_request import InferRequest, RequestHeader
from fovea.serving.requests.kept import Kept
from fovea.serving.requests.tensor_data import LARGE_BYTES


class _Layout(NamedTuple):
    header: RequestHeader
    header_bytes: int
    alike: tuple[tuple[int, bytes], ...]
    """What is the same in all requests of this layout, and where."""
    id: slice | None
    raw: tuple[slice, ...]


class KeptLayouts:
    """Those that were met, by the length of the message and what it begins with: the model's name. For any thread."""

    def __init__(self) -> None:
        self._layouts: Kept[tuple[int, bytes], _Layout] = Kept()

    def request(self, data: bytes) -> InferRequest | None:
        """The request, where its layout is known; None where it is not, or its id is no UTF-8."""
        layout = self._layouts.get((len(data), data[: data[1] + 2])) if len(data) > 1 else None
        if layout is None:
            return None
        for at, bytes_there in layout.alike:
            if not data.startswith(bytes_there, at):
                return None
        return _request(data, layout)

    def keep(self, data: bytes, fields: RequestFields, header: RequestHeader, header_bytes: int) -> InferRequest | None:
        """The same of a request that has been taken apart, and those that are like it are known from now on."""
        alike = _alike(data, fields)
        size = sum(len(bytes_there) for _, bytes_there in alike)
        layout = _Layout(header, header_bytes, alike, fields.id, fields.raw)
        self._layouts.put((len(data), data[: data[1] + 2]), layout, size)
        return _request(data, layout)


def _alike(data: bytes, fields: RequestFields) -> tuple[tuple[int, bytes], ...]:
    apart = sorted((one.start, one.stop) for one in (*fields.raw, *([fields.id] if fields.id else [])))
    ends = [(0, 0), *apart, (len(data), len(data))]
    return tuple((stop, data[stop:start]) for (_, stop), (start, _) in pairwise(ends))


def _request(data: bytes, layout: _Layout) -> InferRequest | None:
    bytes_from = data if len(data) < LARGE_BYTES else memoryview(data)
    raw = [bytes_from[part] for part in layout.raw]
    request = InferRequest(layout.header, raw, "", None, len(data), layout.header_bytes)
    if layout.id is not None:
        try:
            request.id = data[layout.id].decode()
        except UnicodeDecodeError:
            return None
    return request
