"""Inference over gRPC that has to be answered, in all forms of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea import wire
from fovea.client.conformance.case import Came, Case, Expected
from fovea.client.conformance.expectations import ok
from fovea.client.conformance.site import Site, cannot_ask
from fovea.client.conformance.site import over_grpc as case
from fovea.client.conformance.subjects import Fields, Subject, infer_fields
from fovea.client.conformance.tensors import alike, outputs_of
from fovea.contract.datatypes import DATATYPES

_TOGETHER = 16
FOREIGN: Mapping[str, dict[str, Any]] = {
    "a text": {"string_param": "of my own"},
    "an integer": {"int64_param": 7},
    "a truth value": {"bool_param": True},
    "a number": {"double_param": 0.5},
}
"""Parameters whose names no server knows."""
_UNKNOWN_FIELD = b"\xa2\xf7\x01\x04mine"
"""Field 3956 of a message, of 4 bytes."""


def message_of(fields: Fields) -> bytes:
    """A ModelInferRequest's bytes."""
    return bytes(wire.message("ModelInferRequest")(**fields).SerializeToString())


def right(subject: Subject, rows: int = 1) -> Expected:
    """The answer that the model gave before."""
    assert subject.answer is not None
    expected = subject.answer
    return ok("the same outputs as ever", lambda told: alike(outputs_of(told), expected, rows))


def typed_fields(subject: Subject, **changes: Any) -> Fields:
    """The same request with typed contents; of FP16, which has none, in those of FP32."""
    fields = infer_fields(subject)
    for tensor, told in zip(fields["inputs"], subject.told, strict=True):
        values = subject.inputs[told.name].ravel().tolist()
        tensor["contents"] = {DATATYPES[told.datatype].contents or "fp32_contents": values}
    return {**fields, "raw_input_contents": [], **changes}


def grpc_infer_cases(site: Site) -> Iterator[Case]:
    """Every form that a request may have."""
    for subject in site.subjects:
        yield _infer(site, subject, f"{subject.name} answers raw inputs", infer_fields(subject))
        if all(DATATYPES[tensor.datatype].contents for tensor in subject.told):
            yield _infer(site, subject, f"{subject.name} answers typed inputs", typed_fields(subject))
    yield from _facts(site)
    yield from _requested(site)
    yield from _parameters(site)
    yield from _rows(site)
    yield from _order(site)
    yield _together(site)


def _infer(site: Site, subject: Subject, name: str, fields: Fields, rows: int = 1) -> Case:
    return case(
        name, f"ModelInfer, {subject.name}", right(subject, rows), lambda: site.grpc.call("ModelInfer", **fields)
    )


def _facts(site: Site) -> Iterator[Case]:
    main = site.main
    told = {output.name: output for output in main.outputs}

    def fits(output: Any) -> bool:
        expected = told[output.name].shape
        return len(output.shape) == len(expected) and all(
            size in (-1, has) for size, has in zip(expected, output.shape, strict=True)
        )

    facts: tuple[tuple[str, dict[str, Any], Callable[[Any], bool]], ...] = (
        ("the model's name", {}, lambda answer: answer.model_name == main.name),
        ("the request's id", {"id": "no. 7"}, lambda answer: answer.id == "no. 7"),
        ("an id beyond ASCII", {"id": "nº 7 ü"}, lambda answer: answer.id == "nº 7 ü"),
        ("every output of the metadata", {}, lambda answer: {one.name for one in answer.outputs} == set(told)),
        (
            "outputs of the metadata's datatypes",
            {},
            lambda a: all(told[o.name].datatype == o.datatype for o in a.outputs),
        ),
        ("outputs of the metadata's shapes", {}, lambda answer: all(map(fits, answer.outputs))),
        ("raw contents for every output", {}, lambda answer: len(answer.raw_output_contents) == len(answer.outputs)),
    )
    for words, changes, check in facts:
        fields = infer_fields(main, **changes)
        yield case(
            f"an answer has {words}",
            f"ModelInfer, {main.name} {changes or ''}".strip(),
            ok(words, check),
            partial(site.grpc.call, "ModelInfer", **fields),
        )
    if main.version:
        named = infer_fields(main, model_version=main.version)
        yield _infer(site, main, "a version may be named", named)
        yield case(
            "an answer has the version that was asked for",
            f"ModelInfer, {main.name} {main.version}",
            ok("that version", lambda answer: answer.model_version == main.version),
            lambda: site.grpc.call("ModelInfer", **named),
        )


def _requested(site: Site) -> Iterator[Case]:
    main = site.main
    names = [output.name for output in main.outputs]
    for wanted in ([name] for name in names[:8]):
        yield _asked_outputs(site, f"the output {wanted[0]} may be asked for alone", wanted)
    yield _asked_outputs(site, "all outputs may be asked for by name", names)
    if len(names) > 1:
        yield _asked_outputs(site, "outputs may be asked for in another order", names[::-1])


def _asked_outputs(site: Site, name: str, wanted: list[str]) -> Case:
    main = site.main
    fields = infer_fields(main, outputs=[{"name": one} for one in wanted])
    answer = main.answer or {}
    expected = {one: answer[one] for one in wanted if one in answer}
    return case(
        name,
        f"ModelInfer, {main.name}, outputs {', '.join(wanted)}",
        ok("these and no others", lambda told: alike(outputs_of(told), expected)),
        lambda: site.grpc.call("ModelInfer", **fields),
    )


def _parameters(site: Site) -> Iterator[Case]:
    main = site.main
    for words, value in FOREIGN.items():
        fields = infer_fields(main, parameters={"fovea_conformance_unknown": value})
        yield _infer(site, main, f"an unknown parameter that is {words} changes nothing", fields)
    for words, key, value in (
        ("a priority of 0", "priority", {"int64_param": 0}),
        ("a long timeout", "timeout", {"int64_param": 60_000_000}),
    ):
        yield _infer(site, main, f"{words} changes nothing", infer_fields(main, parameters={key: value}))
    fields = infer_fields(main)
    fields["inputs"][0]["parameters"] = {"fovea_conformance_unknown": {"int64_param": 1}}
    yield _infer(site, main, "an unknown parameter of an input changes nothing", fields)
    wanted = [{"name": main.outputs[0].name, "parameters": {"fovea_conformance_unknown": {"int64_param": 1}}}]
    if len(main.outputs) == 1:
        named = infer_fields(main, outputs=wanted)
        yield _infer(site, main, "an unknown parameter of an output changes nothing", named)
    yield case(
        "a field that is not the protocol's changes nothing",
        f"ModelInfer, {main.name}, with a field of number 3956",
        right(main),
        lambda: site.grpc.send("ModelInfer", message_of(infer_fields(main)) + _UNKNOWN_FIELD),
    )


def _rows(site: Site) -> Iterator[Case]:
    subject = site.one(lambda one: one.batches)
    for rows in (2, 3):
        name = f"{rows} rows are answered as each alone"
        if subject is None or 0 < subject.most_rows < rows:
            yield cannot_ask("gRPC", name, "a model of so many rows a request")
        else:
            yield _infer(site, subject, name, infer_fields(subject, rows), rows)


def _order(site: Site) -> Iterator[Case]:
    subject = site.one(lambda one: len(one.told) > 1)
    name = "inputs may come in any order"
    if subject is None:
        yield cannot_ask("gRPC", name, "a model of several inputs")
        return
    fields = infer_fields(subject)
    turned = {**fields, **{key: fields[key][::-1] for key in ("inputs", "raw_input_contents")}}
    yield _infer(site, subject, name, turned)


def _together(site: Site) -> Case:
    main = site.main
    ids = [f"request {number}" for number in range(_TOGETHER)]

    def ask() -> Came:
        found = site.grpc.together("ModelInfer", [message_of(infer_fields(main, id=one)) for one in ids])
        wrong = [one for one in found if one.status != "OK"]
        return wrong[0] if wrong else Came("OK", f"{len(found)} answers", [one.value for one in found])

    def each(found: list[Any]) -> bool:
        same: Mapping[str, NDArray[np.generic]] = main.answer or {}
        return [one.id for one in found] == ids and all(alike(outputs_of(one), same) for one in found)

    about = f"{_TOGETHER} ModelInfer, {main.name}"
    return case(
        "requests in flight together get their own answers", about, ok("each its own id and outputs", each), ask
    )
