"""Inference over gRPC that has to be refused: wrong headers, wrong contents, bytes that are no request."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fovea import wire
from fovea.client.conformance.case import Came, Case
from fovea.client.conformance.expectations import INVALID, NOT_FOUND, not_taken, refused
from fovea.client.conformance.grpc_infer_cases import message_of, right, typed_fields
from fovea.client.conformance.site import Site, cannot_ask
from fovea.client.conformance.site import over_grpc as case
from fovea.client.conformance.subjects import Fields, Subject, infer_fields
from fovea.client.conformance.wrong_requests import wrong_requests
from fovea.contract.datatypes import DATATYPES

_LENGTH = struct.Struct("<I")
_SHORT_INTEGERS = ("INT8", "INT16", "UINT8", "UINT16")
_PATH = "/inference.GRPCInferenceService/"


def grpc_refused_cases(site: Site) -> Iterator[Case]:
    """What is wrong, and after each kind a request that is right."""
    for wrong in wrong_requests(site):
        yield _refused(site, wrong.name, wrong.fields, *wrong.codes)
    yield _answers_still(site, "wrong headers")
    yield from _raw(site)
    yield from _typed(site)
    yield from _texts(site)
    yield _answers_still(site, "wrong contents")
    yield from _malformed(site)
    yield from _no_methods(site)
    yield _cancelled(site)


def _refused(site: Site, name: str, fields: Fields, *codes: str) -> Case:
    about = f"ModelInfer, {fields['model_name']}, {name}"
    return case(f"{name} refused", about, refused(*codes), lambda: site.grpc.call("ModelInfer", **fields))


def _answers_still(site: Site, after: str) -> Case:
    fields = infer_fields(site.main)
    about = f"ModelInfer, {site.main.name}"
    return case(
        f"after {after} requests are answered", about, right(site.main), lambda: site.grpc.call("ModelInfer", **fields)
    )


def _raw(site: Site) -> Iterator[Case]:
    main = site.main
    fields = infer_fields(main)
    first, *others = fields["raw_input_contents"]
    for name, raw in (
        ("a byte too few", [first[:-1], *others]),
        ("a byte too many", [first + b"\0", *others]),
        ("twice the bytes", [first * 2, *others]),
        ("no bytes of an input", [b"", *others]),
        ("surplus raw contents", [first, *others, first]),
        ("neither raw nor typed contents", []),
    ):
        yield _refused(site, name, {**fields, "raw_input_contents": raw}, INVALID)
    region = {"shared_memory_region": {"string_param": "no such region"}, "shared_memory_byte_size": {"int64_param": 4}}
    away = infer_fields(main, raw_input_contents=others)
    away["inputs"][0]["parameters"] = region
    yield _refused(site, "a region of shared memory that is not there", away, INVALID, NOT_FOUND, "UNIMPLEMENTED")


def _typed(site: Site) -> Iterator[Case]:
    main = site.main
    field = DATATYPES[main.first.datatype].contents
    if field:
        values = main.inputs[main.first.name].ravel().tolist()
        other = "int64_contents" if field == "fp32_contents" else "fp32_contents"
        for name, contents in (
            ("typed contents of the wrong type", {other: [1] * len(values)}),
            ("too few typed values", {field: values[:-1]}),
            ("too many typed values", {field: [*values, values[0]]}),
            ("typed values of two types", {field: values, other: [1]}),
        ):
            yield _refused(site, name, _with_contents(main, contents), INVALID)
        both = {**typed_fields(main), "raw_input_contents": infer_fields(main)["raw_input_contents"]}
        yield _refused(site, "raw and typed contents together", both, INVALID)
    yield from _unfit(site)


def _unfit(site: Site) -> Iterator[Case]:
    short = site.one(lambda one: one.first.datatype in _SHORT_INTEGERS)
    if short is None:
        yield cannot_ask(
            "gRPC", "a typed value out of range refused", "a model whose first input is of 8 or 16 bits", refusal=True
        )
    else:
        contents = {DATATYPES[short.first.datatype].contents: [70_000] * short.inputs[short.first.name].size}
        yield _refused(site, "a typed value out of range", _with_contents(short, contents), INVALID)
    half = site.one(lambda one: one.first.datatype == "FP16")
    if half is None:
        yield cannot_ask("gRPC", "typed FP16 refused", "a model whose first input is FP16", refusal=True)
    else:
        contents = {"fp32_contents": [1] * half.inputs[half.first.name].size}
        yield _refused(site, "typed FP16", _with_contents(half, contents), INVALID)


def _with_contents(subject: Subject, contents: dict[str, Any]) -> Fields:
    fields = typed_fields(subject)
    fields["inputs"][0]["contents"] = contents
    return fields


def _texts(site: Site) -> Iterator[Case]:
    texts = site.one(lambda one: one.first.datatype == "BYTES")
    damages: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("BYTES whose length is cut", lambda raw: raw + b"\2\0"),
        ("BYTES whose last element is cut", lambda raw: raw[:-1]),
        ("BYTES that claim 4 GB", lambda raw: _LENGTH.pack(2**32 - 1) + raw[4:]),
        ("BYTES with an element too many", lambda raw: raw + _LENGTH.pack(1) + b"a"),
        ("BYTES with an element too few", lambda raw: raw[: len(raw) - 5]),
    )
    for name, damage in damages:
        if texts is None:
            yield cannot_ask("gRPC", f"{name} refused", "a model whose first input is BYTES", refusal=True)
            continue
        fields = infer_fields(texts)
        fields["raw_input_contents"][0] = damage(fields["raw_input_contents"][0])
        yield _refused(site, name, fields, INVALID)


def _malformed(site: Site) -> Iterator[Case]:
    whole = message_of(infer_fields(site.main, id="a"))
    for name, data in (
        ("random bytes", b"\xff\xfe\x07garbage" * 9),
        ("an empty message", b""),
        *((f"a message cut after {part} of 8 parts", whole[: len(whole) * part // 8]) for part in (1, 3, 5, 7)),
        ("a message without its last byte", whole[:-1]),
        ("a field that claims 2 GB", b"\x0a\xff\xff\xff\xff\x07" + whole[:20]),
        ("a length of eleven bytes", b"\x0a" + b"\xff" * 11),
        ("a name that is no UTF-8", b"\x0a\x04\xff\xfe\xfd\xfc" + whole),
        ("a group that has no end", b"\x0b" * 2000),
    ):
        yield case(
            f"{name} refused",
            f"ModelInfer with {len(data)} bytes",
            not_taken(),
            partial(site.grpc.send, "ModelInfer", data),
        )
    for method in ("ModelMetadata", "ModelReady"):
        yield case(
            f"random bytes for {method} refused",
            method,
            not_taken(),
            partial(site.grpc.send, method, b"\xff\xff\x01"),
        )
    yield _answers_still(site, "malformed messages")


def _no_methods(site: Site) -> Iterator[Case]:
    answer = wire.message("ModelInferResponse")
    for name, path in (
        ("a method", f"{_PATH}NoSuchMethod"),
        ("a service", "/inference.NoSuchService/ModelInfer"),
        ("a method in small letters", f"{_PATH}modelinfer"),
        ("a path of one part", "/ModelInfer"),
    ):
        yield case(
            f"{name} that is not there is UNIMPLEMENTED",
            path,
            refused("UNIMPLEMENTED"),
            partial(site.grpc.send_to, path, b"", answer),
        )


def _cancelled(site: Site) -> Case:
    fields = infer_fields(site.main)

    def ask() -> Came:
        for _ in range(20):
            site.grpc.abandon("ModelInfer", message_of(fields))
        return site.grpc.call("ModelInfer", **fields)

    about = f"20 ModelInfer that are cancelled at once, then one, {site.main.name}"
    return case("after cancelled requests others are answered", about, right(site.main), ask)
