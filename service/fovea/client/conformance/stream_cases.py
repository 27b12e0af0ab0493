"""ModelStreamInfer, as Triton's clients use it: an answer or an error for each request, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fovea.client.conformance.case import Case
from fovea.client.conformance.expectations import ok
from fovea.client.conformance.grpc_infer_cases import message_of
from fovea.client.conformance.grpc_server_cases import ABSENT
from fovea.client.conformance.site import Site
from fovea.client.conformance.site import over_grpc as case
from fovea.client.conformance.subjects import infer_fields
from fovea.client.conformance.tensors import alike, outputs_of

EXTENSION = "streams"
_FINAL = "triton_final_response"
_WANTS_FINAL = {"triton_enable_empty_final_response": {"bool_param": True}}


def stream_cases(site: Site) -> Iterator[Case]:
    """Streams that go well, and streams with bad requests in them."""
    main, answer = site.main, site.main.answer or {}

    def good(request_id: str, **changes: Any) -> bytes:
        return message_of(infer_fields(main, id=request_id, **changes))

    def answers(told: Any, request_id: str) -> bool:
        reply = told.infer_response
        return not told.error_message and reply.id == request_id and alike(outputs_of(reply), answer)

    def every(told: Sequence[Any], *ids: str) -> bool:
        return len(told) == len(ids) and all(map(answers, told, ids))

    unknown = message_of({**infer_fields(main, id="bad"), "model_name": ABSENT})
    short = message_of(infer_fields(main, id="bad", raw_input_contents=[b""] * len(main.told)))
    many = [f"no. {number}" for number in range(20)]
    yield _case(site, "a request is answered", [good("a")], "one answer", lambda told: every(told, "a"))
    yield _case(
        site, "requests are answered in order", [*map(good, many)], "20, in order", lambda told: every(told, *many)
    )
    yield _case(site, "one without requests ends well", [], "no answer", lambda told: told == [])
    for words, bad in (
        ("an unknown model", unknown),
        ("too few bytes", short),
        ("bytes that are no message", b"\xff\xff!"),
    ):
        yield _case(
            site,
            f"{words} costs one error, and the stream goes on",
            [good("a"), bad, good("b")],
            "an answer, an error, an answer",
            lambda told: (
                len(told) == 3 and answers(told[0], "a") and told[1].error_message != "" and answers(told[2], "b")
            ),
        )
    yield _case(
        site,
        "an error has the id of its request",
        [unknown],
        "an error with id 'bad'",
        lambda told: told[0].error_message != "" and told[0].infer_response.id == "bad",
    )
    yield _case(
        site,
        "the last answer of a request is marked",
        [good("a", parameters=_WANTS_FINAL)],
        f"{_FINAL} is true in the last, and in no other",
        lambda told: (
            [one.infer_response.parameters[_FINAL].bool_param for one in told] == [False] * (len(told) - 1) + [True]
        ),
    )


def _case(site: Site, name: str, messages: Sequence[bytes], words: str, check: Any) -> Case:
    about = f"ModelStreamInfer with {len(messages)} messages, {site.main.name}"
    return case(f"stream: {name}", about, ok(words, check), lambda: site.grpc.stream(messages), EXTENSION)
