"""The RPCs as their clients use them: tritonclient, gRPC's own health and reflection stubs, and raw messages."""

from __future__ import annotations

import concurrent.futures
import time
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from fovea import __version__, wire
from servers import RunningServer, wait_until

ROW = np.arange(4, dtype=np.float32)


@pytest.fixture
def triton_client(server: RunningServer) -> Any:
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


def triton_input(name: str, array: Any, datatype: str) -> Any:
    tensor = triton.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def test_tritonclient_gets_right_answers_of_every_shape_it_sends(triton_client: Any) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for rows in (1, 2, 5):
        answer = triton_client.infer("double", [triton_input("x", x[:rows], "FP32")], request_id="a7")
        np.testing.assert_array_equal(answer.as_numpy("y"), x[:rows] * 2)
        assert answer.get_response().id == "a7"
        assert answer.get_response().model_version == "1"


def test_texts_travel_as_bytes_elements(triton_client: Any) -> None:
    x = np.array([[b"a", "später".encode()]], dtype=np.object_)
    answer = triton_client.infer("texts", [triton_input("x", x, "BYTES")])
    assert answer.as_numpy("y").tolist() == x.tolist()


def test_half_precision_travels_raw(triton_client: Any) -> None:
    x = np.array([[1.5, -2]], dtype=np.float16)
    np.testing.assert_array_equal(triton_client.infer("half", [triton_input("x", x, "FP16")]).as_numpy("y"), x)


def test_typed_contents_are_taken_too(client: Any) -> None:
    answer = client(
        "ModelInfer",
        model_name="integers",
        inputs=[{"name": "x", "datatype": "INT32", "shape": [1, 2], "contents": {"int_contents": [-5, 7]}}],
    )
    assert np.frombuffer(answer.raw_output_contents[0], np.int32).tolist() == [-5, 7]


def test_a_model_without_a_batch_axis_is_served_one_request_at_a_time(triton_client: Any) -> None:
    x = np.array([1, 2, 3], np.float32)
    assert triton_client.infer("single", [triton_input("x", x, "FP32")]).as_numpy("y").tolist() == [-1, -2, -3]
    assert triton_client.get_model_config("single").config.max_batch_size == 0


def test_requests_of_different_lengths_in_flight_together_each_get_their_own(triton_client: Any) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(1, length)).astype(np.float32) for length in (1, 2, 3, 7, 0) * 20]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda x: triton_client.infer("any_length", [triton_input("x", x, "FP32")]).as_numpy("y"), arrays
        )
        for array, answer in zip(arrays, answers, strict=True):
            np.testing.assert_array_equal(answer, -array)


def test_many_callers_at_once_each_get_their_own_rows(triton_client: Any) -> None:
    arrays = [np.full((1 + index % 3, 4), index, np.float32) for index in range(300)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda x: triton_client.infer("double", [triton_input("x", x, "FP32")]).as_numpy("y"), arrays
        )
        for array, answer in zip(arrays, answers, strict=True):
            np.testing.assert_array_equal(answer, array * 2)


def test_answers_carry_the_ids_and_the_rows_of_their_own_requests(client: Any) -> None:
    ids = ["" if index % 5 == 0 else f"id {index}" for index in range(200)]

    def start(index: int) -> Any:
        request = wire.message("ModelInferRequest")(model_name="pair", id=ids[index])
        for name in ("b", "x") if index % 2 else ("x", "b"):
            request.inputs.add(name=name, datatype="FP32", shape=[1, 4])
        request.raw_input_contents.extend([ROW.tobytes(), (ROW * index).tobytes()])
        return client.start("ModelInfer", request.SerializeToString())

    for index, call in enumerate([start(index) for index in range(200)]):
        answer = wire.message("ModelInferResponse").FromString(call.result())
        assert (answer.id, answer.model_name, answer.model_version) == (ids[index], "pair", "1")
        assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [("y", "FP32", [1, 4])]
        expected = ROW * index - ROW if index % 2 else ROW - ROW * index
        assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == expected.tolist()


def test_outputs_of_any_size_come_whole(triton_client: Any) -> None:
    for length in (0, 1, 31, 32, 4095, 4096, 200_000):
        x = np.arange(length, dtype=np.float32)[None]
        answer = triton_client.infer("any_length", [triton_input("x", x, "FP32")], request_id="z" * (length % 300))
        np.testing.assert_array_equal(answer.as_numpy("y"), -x)


def test_cancelled_callers_leave_their_neighbours_untouched(client: Any) -> None:
    request = wire.message("ModelInferRequest")(
        model_name="double",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 4]}],
        raw_input_contents=[ROW.tobytes()],
    ).SerializeToString()
    calls = [client.start("ModelInfer", request) for _ in range(400)]
    for call in calls[::2]:
        call.cancel()
    answers = [wire.message("ModelInferResponse").FromString(call.result()) for call in calls[1::2]]
    assert {answer.raw_output_contents[0] for answer in answers} == {(ROW * 2).tobytes()}


def test_only_the_outputs_asked_for_are_sent(triton_client: Any) -> None:
    answer = triton_client.infer(
        "double", [triton_input("x", ROW[None], "FP32")], outputs=[triton.InferRequestedOutput("y")]
    )
    assert [output.name for output in answer.get_response().outputs] == ["y"]


def test_classification_sends_the_best_classes_first(triton_client: Any) -> None:
    answer = triton_client.infer(
        "double",
        [triton_input("x", np.array([[1, 4, 2, 3]], np.float32), "FP32")],
        outputs=[triton.InferRequestedOutput("y", class_count=2)],
    )
    assert answer.as_numpy("y").tolist() == [[b"8.000000:1", b"6.000000:3"]]


def test_the_server_and_its_models_say_what_they_are(triton_client: Any, client: Any) -> None:
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("double")
    assert triton_client.is_model_ready("double", "1")
    for name, version in (("damaged", ""), ("nope", ""), ("double", "7")):
        assert not triton_client.is_model_ready(name, version)
    assert triton_client.get_server_metadata().version == __version__
    metadata = client("ModelMetadata", name="double")
    assert list(metadata.versions) == ["1"]
    assert metadata.platform == "onnxruntime_onnx"
    assert list(metadata.inputs[0].shape) == [-1, 4]
    assert metadata.properties["attention"] == "none"
    assert metadata.properties["kernels"] == "none"


def test_the_configuration_is_what_load_generators_read(triton_client: Any) -> None:
    config = triton_client.get_model_config("pair").config
    assert config.max_batch_size == 8
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [("x", [4]), ("b", [4])]
    assert config.HasField("dynamic_batching")


def test_statistics_count_rows_and_batches(triton_client: Any) -> None:
    before = triton_client.get_inference_statistics("pair").model_stats[0]
    x = np.ones((3, 4), np.float32)
    triton_client.infer("pair", [triton_input("x", x, "FP32"), triton_input("b", x, "FP32")])
    after = wait_for(lambda: triton_client.get_inference_statistics("pair").model_stats[0], before)
    assert after.inference_count - before.inference_count == 3
    assert after.execution_count - before.execution_count == 1
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1
    assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
    assert 3 in [batch.batch_size for batch in after.batch_stats]


def test_statistics_are_of_a_version_of_a_model_or_of_all(triton_client: Any, client: Any) -> None:
    def named(*name: str) -> set[tuple[str, str]]:
        return {(one.name, one.version) for one in triton_client.get_inference_statistics(*name).model_stats}

    assert named("pair") == named("pair", "1") == {("pair", "1")}
    assert {("pair", "1"), ("double", "1")} < named()
    for fields, code in (
        ({"version": "1"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"name": "pair", "version": "2"}, grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            client("ModelStatistics", **fields)
        assert caught.value.code() == code


def test_statistics_of_durations_count_requests_and_those_of_batches_count_batches(triton_client: Any) -> None:
    before = triton_client.get_inference_statistics("single").model_stats[0]
    for _ in range(3):
        triton_client.infer("single", [triton_input("x", np.ones(3, np.float32), "FP32")])
        after = wait_for(lambda: triton_client.get_inference_statistics("single").model_stats[0], before)
        gained = {
            name: getattr(after.inference_stats, name).count - getattr(before.inference_stats, name).count
            for name in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
        }
        assert gained == {"fail": 0} | dict.fromkeys(set(gained) - {"fail"}, 1)
        assert after.last_inference > before.last_inference
        before = after
    assert [batch.batch_size for batch in before.batch_stats] == [1]
    assert before.batch_stats[0].compute_infer.count == before.execution_count
    assert abs(before.last_inference / 1e3 - time.time()) < 60


def wait_for(read: Any, before: Any) -> Any:
    """Statistics are written after callers are answered: ask again until they have changed."""
    wait_until(lambda: read().inference_stats.success.count != before.inference_stats.success.count)
    return read()


def test_the_repository_index_tells_states_and_reasons(triton_client: Any) -> None:
    models = {model.name: model for model in triton_client.get_model_repository_index().models}
    assert models["double"].state == "READY"
    assert models["damaged"].state == "UNAVAILABLE"
    assert "model.onnx" in models["damaged"].reason


def test_the_index_can_be_cut_to_what_is_ready(client: Any) -> None:
    assert "damaged" not in [model.name for model in client("RepositoryIndex", ready=True).models]


@pytest.fixture
def channel(server: RunningServer) -> Any:
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.mark.parametrize(("service", "status"), [("", 1), (wire.SERVICE, 1), ("double", 1), ("damaged", 2)])
def test_health_is_told_for_the_server_the_service_and_each_model(channel: Any, service: str, status: int) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert stub.Check(request, timeout=20).status == status
    watch = stub.Watch(request, timeout=20)
    assert next(iter(watch)).status == status
    watch.cancel()


def test_health_of_an_unknown_name_is_not_found(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nope"), timeout=20)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_describes_every_service(channel: Any) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    assert {wire.SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= services
    pool = DescriptorPool(database)
    assert set(pool.FindServiceByName(wire.SERVICE).methods_by_name) == set(wire.METHODS)
    assert pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
