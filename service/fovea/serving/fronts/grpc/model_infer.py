"""ModelInfer: a call's bytes become a request, and its answer bytes."""

from __future__ import annotations

from fovea.serving.fronts.grpc.call_reply import Call, CallReply
from fovea.serving.fronts.grpc.infer_answers import AnswerWriter
from fovea.serving.fronts.grpc.infer_requests import RequestReader
from fovea.serving.fronts.grpc.origins import Origins
from fovea.serving.fronts.grpc.status import StatusTable
from fovea.serving.requests.error_text import as_fovea_error
from fovea.serving.requests.inference import Inference


class ModelInfer:
    """Takes calls in. May be used by any thread."""

    def __init__(self, inference: Inference, most_bytes: int, table: StatusTable) -> None:
        """Of answers of so many bytes at most."""
        self._inference, self._table = inference, table
        self._read = RequestReader(lambda: inference.most_header)
        self._write = AnswerWriter(most_bytes)
        self._admits = self._write.admit
        self._origins = Origins(table)
        self._wants_origins = inference.wants_origins

    def __call__(self, call: Call, data: bytes) -> None:
        """Admit the request or refuse it; never raises, never blocks."""
        reply = CallReply(call, self._write, self._table)
        try:
            request = self._read(data)
            request.deadline_s, request.admits, request.alone = call.deadline_s, self._admits, call.alone
            if self._wants_origins:
                request.origin = self._origins.of(call)
        except Exception as error:
            self._inference.stray()
            reply.send(as_fovea_error(error))
            return
        self._inference.submit(request, reply)
