"""Requests that are wrong over both fronts: in the names, datatypes, shapes and rows that they say of their tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fovea.client.array_bytes import to_raw
from fovea.client.conformance.expectations import INVALID, NOT_FOUND, UNIMPLEMENTED
from fovea.client.conformance.grpc_server_cases import ABSENT, ABSENT_VERSION
from fovea.client.conformance.site import Site
from fovea.client.conformance.subjects import Fields, Subject, infer_fields

_HUGE = 2**62
_NO_VERSION = (INVALID, NOT_FOUND, UNIMPLEMENTED)


@dataclass(frozen=True)
class WrongRequest:
    """A request, the statuses of gRPC that refuse it as the protocol has it, and the model that it is for."""

    name: str
    subject: Subject
    fields: Fields
    codes: tuple[str, ...] = (INVALID,)


def wrong_requests(site: Site) -> Iterator[WrongRequest]:
    """All that the server's models allow to ask."""
    yield from _names(site.main)
    yield from _headers(site.main)
    yield from _shapes(site.main)
    yield from _tensors(site.main)
    yield from _of_several_inputs(site)
    yield from _rows(site)


def _names(main: Subject) -> Iterator[WrongRequest]:
    def wrong(name: str, *codes: str, **changes: Any) -> WrongRequest:
        return WrongRequest(name, main, infer_fields(main, **changes), codes)

    yield wrong("an unknown model", NOT_FOUND, model_name=ABSENT)
    yield wrong("an unknown version", NOT_FOUND, UNIMPLEMENTED, model_version=ABSENT_VERSION)
    yield wrong("a version that is no number", *_NO_VERSION, model_version="one")
    yield wrong("version 0", *_NO_VERSION, model_version="0")
    yield wrong("version -1", *_NO_VERSION, model_version="-1")
    yield wrong("an unknown output", INVALID, NOT_FOUND, outputs=[{"name": "no such output"}])
    known = {"name": main.outputs[0].name}
    yield wrong("an unknown output beside a known one", INVALID, NOT_FOUND, outputs=[known, {"name": "no such output"}])
    yield wrong("an output without a name", INVALID, NOT_FOUND, outputs=[{"name": ""}])


def _changed(main: Subject, **changes: Any) -> Fields:
    """With another header of the first input."""
    fields = infer_fields(main)
    fields["inputs"][0].update(changes)
    return fields


def _headers(main: Subject) -> Iterator[WrongRequest]:
    right = main.first.datatype
    same_size = {"FP32": "INT32", "INT32": "FP32", "INT64": "FP64", "FP64": "INT64"}.get(right, "UINT8")
    for name, datatype in (
        (f"{same_size} in place of {right}", same_size),
        (f"{'FP64' if right != 'FP64' else 'FP32'} in place of {right}", "FP64" if right != "FP64" else "FP32"),
        ("a datatype that is none", "float"),
        ("a datatype in small letters", right.lower()),
        ("no datatype", ""),
    ):
        yield WrongRequest(name, main, _changed(main, datatype=datatype))
    for name, fields in (
        ("an input by a wrong name", _changed(main, name="no such input")),
        ("an input without a name", _changed(main, name="")),
    ):
        yield WrongRequest(name, main, fields)


def _shapes(main: Subject) -> Iterator[WrongRequest]:
    shape = list(main.inputs[main.first.name].shape)
    for name, wrong in (
        ("an axis too many", [1, *shape]),
        ("an axis too few", shape[1:]),
        ("no shape", []),
        ("-1 in a shape", [-1, *shape[1:]]),
        ("a negative size", [-5, *shape[1:]]),
        ("a first size that the data do not fit", [shape[0] + 1, *shape[1:]] if shape else [2]),
        ("huge sizes", [_HUGE] * len(shape)),
        ("sizes whose product is 0 in 64 bits", [2**32] * max(len(shape), 2)),
        ("a huge number of rows", [2**40, *shape[1:]]),
        ("60 axes of huge sizes", [_HUGE] * 60),
        ("1000 axes of size 1", [1] * 1000),
    ):
        if wrong != shape:
            yield WrongRequest(
                f"a shape with {name}" if name != "no shape" else name, main, _changed(main, shape=wrong)
            )
    fixed = next((axis for axis, size in enumerate(main.first.shape) if size > 0), None)
    if fixed is not None:
        array = main.inputs[main.first.name]
        longer = np.concatenate([array, array.take([0], fixed)], fixed)
        fields = _changed(main, shape=list(longer.shape))
        fields["raw_input_contents"][0] = to_raw(main.first.name, longer)
        yield WrongRequest("data of a wrong shape", main, fields)


def _tensors(main: Subject) -> Iterator[WrongRequest]:
    fields = infer_fields(main)
    tensors, raw = fields["inputs"], fields["raw_input_contents"]
    stranger = {**tensors[0], "name": "no such input"}
    for name, changes in (
        ("no inputs", {"inputs": [], "raw_input_contents": []}),
        ("an input more than the model has", {"inputs": [*tensors, stranger], "raw_input_contents": [*raw, raw[0]]}),
        ("an input twice", {"inputs": [*tensors, tensors[0]], "raw_input_contents": [*raw, raw[0]]}),
        ("an input 100 times", {"inputs": [tensors[0]] * 100, "raw_input_contents": [raw[0]] * 100}),
    ):
        yield WrongRequest(name, main, {**fields, **changes})


def _of_several_inputs(site: Site) -> Iterator[WrongRequest]:
    subject = site.one(lambda one: len(one.told) > 1)
    if subject is None:
        return
    fields = infer_fields(subject)
    needed = next((at for at, tensor in enumerate(subject.told) if tensor.name not in subject.optional), None)
    if needed is not None:
        left = {key: fields[key][:needed] + fields[key][needed + 1 :] for key in ("inputs", "raw_input_contents")}
        yield WrongRequest("an input missing", subject, {**fields, **left})
    if subject.batches:
        two = infer_fields(subject, 2)
        mixed = {key: [*fields[key][:-1], two[key][-1]] for key in ("inputs", "raw_input_contents")}
        yield WrongRequest("inputs of different numbers of rows", subject, {**fields, **mixed})


def _rows(site: Site) -> Iterator[WrongRequest]:
    subject = site.one(lambda one: one.batches and one.most_rows > 0)
    if subject is not None and subject.most_rows < 1024:
        yield WrongRequest("more rows than a request may have", subject, infer_fields(subject, subject.most_rows + 1))
