"""Our messages against those of Triton's client, field by field."""

from __future__ import annotations

from typing import Any

import pytest
import tritonclient.grpc
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from tritonclient.grpc import model_config_pb2, service_pb2

from fovea import wire

THEIRS = {**service_pb2.DESCRIPTOR.message_types_by_name, **model_config_pb2.DESCRIPTOR.message_types_by_name}
OWN_FIELDS = {
    ("ModelMetadataResponse", "properties"),
    *(("RepositoryModelLoadResponse", name) for name in ("model_name", "isLoaded")),
    *(("RepositoryModelUnloadResponse", name) for name in ("model_name", "isUnloaded")),
}
"""The Open Inference Protocol, or KServe's form of it, has them; Triton's messages lack them."""


def every_message(descriptor: Descriptor) -> list[Descriptor]:
    return [descriptor, *(inner for nested in descriptor.nested_types for inner in every_message(nested))]


def our_files() -> list[Any]:
    service = wire.POOL.FindServiceByName(wire.SERVICE)
    return [service.file, *service.file.dependencies]


OURS = {
    message.full_name.removeprefix("inference."): message
    for file in our_files()
    for top in file.message_types_by_name.values()
    for message in every_message(top)
}


def their_message(name: str) -> Descriptor:
    top, *inner = name.split(".")
    descriptor = THEIRS[top]
    for part in inner:
        descriptor = descriptor.nested_types_by_name[part]
    return descriptor


def shape(field: Any) -> tuple[Any, ...]:
    of = field.message_type or field.enum_type
    return field.number, field.type, field.is_repeated, of.full_name if of else None


@pytest.mark.parametrize("name", [name for name in OURS if not name.endswith("PropertiesEntry")])
def test_each_field_has_the_name_number_type_and_label_of_tritons(name: str) -> None:
    theirs = their_message(name).fields_by_name
    for field in OURS[name].fields:
        if (name, field.name) not in OWN_FIELDS:
            assert shape(field) == shape(theirs[field.name])


def test_messages_of_calls_leave_no_field_out() -> None:
    for method in wire.POOL.FindServiceByName(wire.SERVICE).methods:
        for message in (method.input_type, method.output_type):
            names = {field.name for field in THEIRS[message.name].fields}
            assert names <= {field.name for field in message.fields}


def test_enums_have_the_same_numbers() -> None:
    ours: EnumDescriptor = wire.POOL.FindEnumTypeByName("inference.DataType")
    theirs = model_config_pb2.DataType.DESCRIPTOR
    assert {value.name: value.number for value in ours.values} == {v.name: v.number for v in theirs.values}


def test_tritonclient_and_fovea_live_in_one_process() -> None:
    import fovea.client

    request = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[b"ab"])
    assert tritonclient.grpc.InferInput
    assert fovea.client.Client
    ours = wire.message("ModelInferRequest").FromString(request.SerializeToString())
    assert (ours.model_name, list(ours.raw_input_contents)) == ("m", [b"ab"])
