"""What becomes of an inference between a front and an engine: no protobuf, no HTTP, no model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fovea.contract.attention import AttentionType
from fovea.contract.errors import Draining, FoveaError, InvalidRequest, NotFound, NotReady, VersionEnded
from fovea.contract.model_card import ModelCard
from fovea.contract.tensor_spec import TensorSpec
from fovea.serving.observability.tracer import Tracer
from fovea.serving.requests.answer import Answer, AnswerForm
from fovea.serving.requests.door import Door
from fovea.serving.requests.infer_request import InferRequest, InputTensor, RequestedOutput, RequestHeader
from fovea.serving.requests.inference import Inference, Uncounted
from fovea.serving.requests.request_parameters import RequestDefaults
from fovea.serving.requests.response_cache import ResponseCache, VersionCache
from fovea.serving.requests.tensor_data import ExpectedInput
from fovea.serving.shared_memory.regions import Regions

ROW = np.array([[1, 2, 3, 4]], np.float32)
SPEC: dict[str, Any] = {"datatype": "FP32", "shape": (-1, 4)}
CARD = ModelCard(
    name="m",
    attention=AttentionType.NONE,
    inputs=(TensorSpec(name="x", **SPEC),),
    outputs=(TensorSpec(name="y", **SPEC), TensorSpec(name="z", **SPEC)),
    batched=True,
    parameters=0,
    opset=21,
)


class Heard:
    """A front's reply that keeps its events."""

    def __init__(self, gone: bool = False) -> None:
        self.gone = gone
        self.events: list[tuple[Any, bool]] = []

    def watch(self) -> None:
        pass

    def send(self, event: Answer | FoveaError, final: bool = True) -> None:
        if isinstance(event, Answer):
            outputs = zip(event.form.wanted, event.arrays, strict=True)
            event = {output.spec.name: array.tolist() for output, array in outputs} | {"id": event.id}  # type: ignore[assignment]
        self.events.append((event, final))

    @property
    def only(self) -> Any:
        ((event, final),) = self.events
        assert final
        return event


class Version:
    """Doubles and triples `x`, in so many pieces, at once; or is a version that has ended."""

    def __init__(self, pieces: int = 1, error: Exception | None = None, cache: ResponseCache | None = None) -> None:
        self.card, self.version = CARD, "1"
        self.door = Door(CARD, 1, 8, RequestDefaults())
        self.cache = VersionCache(cache, self) if cache else None
        self.engine = self
        self.runs = 0
        self.outcomes: list[str] = []
        self._pieces, self._error = pieces, error

    def submit(self, request: Any) -> None:
        if self._error is not None:
            raise self._error
        self.runs += 1
        for piece in range(1, self._pieces + 1):
            x = request.inputs["x"]
            request.reply.send({"y": x * 2, "z": x * 3}, final=piece == self._pieces)

    def requests(self, outcome: str, _duration_s: Any, _rows: int) -> None:
        self.outcomes.append(outcome)

    def cache_hit(self, *_: float) -> None:
        self.outcomes.append("hit")

    def cache_miss(self, _: float) -> None:
        self.outcomes.append("miss")


class Served:
    """An inference over one version, or over what finds one."""

    def __init__(self, find: Version | Callable[[], Any], regions: Any = None) -> None:
        self._find = find
        self.most_header = 1 << 16
        self.uncounted: list[Any] = []
        uncounted = Uncounted(lambda: self.uncounted.append("stray"), lambda *names: self.uncounted.append(names))
        self.inference = Inference(self, None, regions or Regions(), Tracer(), uncounted)  # type: ignore[arg-type]

    def ready(self, name: str, _version: str) -> Any:
        if name != "m":
            raise NotFound(f"unknown model '{name}'")
        return self._find if isinstance(self._find, Version) else self._find()

    def ask(self, request: InferRequest) -> Heard:
        heard = Heard()
        self.inference.submit(request, heard)
        return heard


def header(model: str = "m", outputs: tuple[str, ...] = (), **facts: Any) -> RequestHeader:
    return RequestHeader(
        model, "", [InputTensor("x", "FP32", (1, 4))], [RequestedOutput(name) for name in outputs], **facts
    )


def request(of: RequestHeader | None = None, **facts: Any) -> InferRequest:
    return InferRequest(of or header(), [ROW.tobytes()], **facts)


class Whole:
    """Values of a front's own kind."""

    bytes = 16

    def array(self, expected: ExpectedInput) -> Any:
        expected.check_count(ROW.size)
        return ROW.reshape(expected.shape)


def test_an_answer_names_the_wanted_outputs_in_their_order_and_bears_the_requests_id() -> None:
    served = Served(Version())
    assert served.ask(request(id="a")).only == {"y": (ROW * 2).tolist(), "z": (ROW * 3).tolist(), "id": "a"}
    assert list(served.ask(request(header(outputs=("z", "y")))).only) == ["z", "y", "id"]
    assert list(served.ask(request(header(outputs=("z",)))).only) == ["z", "id"]


def test_raw_bytes_and_values_are_the_same_to_a_model() -> None:
    served = Served(Version())
    values = InferRequest(header(), [Whole()], has_values=True)
    assert served.ask(values).only == served.ask(request()).only


def test_a_header_that_passed_is_checked_again_by_another_version() -> None:
    kept, first, second = header(), Version(), Version()
    assert Served(first).ask(request(kept)).only == Served(second).ask(request(kept)).only
    kept.inputs = [InputTensor("other", "FP32", (1, 4))]
    assert Served(second).ask(request(kept)).only["id"] == ""  # known
    assert isinstance(Served(first).ask(request(kept)).only, InvalidRequest)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (InferRequest(header(), []), InvalidRequest, "the data of each of 1 inputs, received 0"),
        (InferRequest(header(), [b"", b""]), InvalidRequest, "received 2"),
        (InferRequest(header(), [b"123"]), InvalidRequest, "expected 16 bytes for FP32 [1, 4], received 3"),
        (InferRequest(header(), [None], has_values=True), InvalidRequest, "'x' has neither raw data nor values"),
        (request(header_bytes=1 << 17), InvalidRequest, "expected at most 65536 bytes beside the tensors' data"),
        (request(header(parameters={"timeout": "soon"})), InvalidRequest, "expected an integer, received a text"),
        (request(header(outputs=("q",))), InvalidRequest, "unknown output 'q'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected_and_counted_once(
    asked: InferRequest, error: type[FoveaError], words: str
) -> None:
    version = Version()
    refused = Served(version).ask(asked).only
    assert isinstance(refused, error)
    assert words in str(refused)
    assert (version.outcomes, version.runs) == (["invalid"], 0)


def test_what_reaches_no_version_is_counted_beside_them() -> None:
    def not_ready() -> Any:
        raise NotReady("not yet")

    served = Served(not_ready)
    assert isinstance(served.ask(request(header("nope"))).only, NotFound)
    assert isinstance(served.ask(request()).only, NotReady)
    assert served.uncounted == ["stray", ("m", "")]


def test_when_the_server_drains_nothing_new_runs() -> None:
    version = Version()
    served = Served(version)
    served.inference.draining = True
    assert isinstance(served.ask(request()).only, Draining)
    assert (version.outcomes, version.runs) == (["rejected"], 0)


def test_a_request_whose_version_ends_meanwhile_is_its_successors() -> None:
    ended, successor = Version(error=VersionEnded("swapped")), Version()
    found = iter([ended, successor])
    assert Served(lambda: next(found)).ask(request()).only["y"] == (ROW * 2).tolist()
    assert (ended.outcomes, successor.runs) == ([], 1)


def test_an_answer_that_its_front_could_not_send_is_refused_before_the_model_runs() -> None:
    def too_large(form: AnswerForm, rows: int) -> None:
        raise InvalidRequest(f"{form.row_bytes * rows} bytes")

    version = Version()
    assert str(Served(version).ask(request(admits=too_large)).only) == "32 bytes"
    assert (version.outcomes, version.runs) == (["invalid"], 0)


def test_an_unforeseen_error_keeps_its_text_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    refused = Served(Version(error=ValueError("password=1234"))).ask(request()).only
    assert str(refused) == "internal error; the server's log has the details"
    assert "unforeseen" in caplog.text


class Region:
    """Shared memory that knows how many hold it."""

    held = 0

    def hold(self, _places: Any) -> Region:
        self.held += 1
        return self

    def release(self) -> None:
        self.held -= 1


@pytest.mark.parametrize("error", [Draining(), RuntimeError("unforeseen")])
def test_a_request_that_is_not_taken_holds_no_shared_memory(error: Exception) -> None:
    place = {"shared_memory_region": "r", "shared_memory_byte_size": 16}
    asked, region = header(), Region()
    asked.outputs = [RequestedOutput("y", place)]
    assert isinstance(Served(Version(error=error), region).ask(request(asked)).only, FoveaError)
    assert region.held == 0


def test_pieces_of_an_answer_come_as_they_are_sent_and_the_last_is_final() -> None:
    heard = Served(Version(pieces=3)).ask(request(id="a"))
    assert [final for _, final in heard.events] == [False, False, True]
    assert [event["id"] for event, _ in heard.events] == ["a"] * 3


@pytest.mark.parametrize(("pieces", "runs"), [(1, 1), (2, 2)])
def test_only_an_answer_in_one_piece_is_kept_for_the_next_to_ask(pieces: int, runs: int) -> None:
    version = Version(pieces, cache=ResponseCache(1 << 20))
    first, second = (Served(version).ask(request(id=name)) for name in "ab")
    assert version.runs == runs
    assert [event["y"] for event, _ in first.events] == [event["y"] for event, _ in second.events]
    assert [event["id"] for event, _ in second.events] == ["b"] * pieces
