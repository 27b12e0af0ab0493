"""What bad input gets: every row of the protocol's table that concerns inference, as fields of a ModelInferRequest."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np

ROW = np.arange(4, dtype=np.float32)
INVALID = grpc.StatusCode.INVALID_ARGUMENT
HUGE = (2, 0, 2**62)
"""A shape without elements whose other sizes cannot be counted."""
TOO_MUCH_HEADER = ["65536 bytes beside the tensors' data"]


def tensor(name: str = "x", shape: tuple[int, ...] = (1, 4), datatype: str = "FP32", **fields: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, **fields}


def infer(**changes: Any) -> dict[str, Any]:
    request = {"model_name": "double", "inputs": [tensor()], "raw_input_contents": [ROW.tobytes()]}
    return {**request, **changes}


def typed(**contents: Any) -> dict[str, Any]:
    return infer(inputs=[tensor(contents=contents)], raw_input_contents=[])


BAD_REQUESTS: dict[str, tuple[dict[str, Any], grpc.StatusCode, list[str]]] = {
    "unknown model": (infer(model_name="nope"), grpc.StatusCode.NOT_FOUND, ["nope"]),
    "unknown version": (infer(model_version="7"), grpc.StatusCode.NOT_FOUND, ["double", "7"]),
    "version no integer": (infer(model_version="one"), INVALID, ["'one'"]),
    "version zero": (infer(model_version="0"), INVALID, ["'0'"]),
    "version not ready": (infer(model_name="damaged"), grpc.StatusCode.UNAVAILABLE, ["UNAVAILABLE", "model.onnx"]),
    "wrong dtype": (infer(inputs=[tensor(datatype="FP64")]), INVALID, ["'x'", "FP32", "FP64"]),
    "dtype that is none": (infer(inputs=[tensor(datatype="float")]), INVALID, ["FP32", "float"]),
    "wrong shape": (infer(inputs=[tensor(shape=(1, 5))]), INVALID, ["'x'", "[-1, 4]", "[1, 5]"]),
    "no batch axis": (infer(inputs=[tensor(shape=(4,))]), INVALID, ["[4]", "batch axis", "[1, 4]"]),
    "shape with -1": (infer(inputs=[tensor(shape=(-1, 4))]), INVALID, ["[-1, 4]", "-1 is not one"]),
    "missing input": (
        infer(model_name="pair"),
        INVALID,
        ["missing", "['b']", "['x']"],
    ),
    "no inputs": (infer(inputs=[], raw_input_contents=[]), INVALID, ["missing", "['x']"]),
    "unexpected input": (
        infer(inputs=[tensor(), tensor("z")], raw_input_contents=[ROW.tobytes()] * 2),
        INVALID,
        ["unexpected", "'z'", "['x']"],
    ),
    "duplicate input": (
        infer(inputs=[tensor(), tensor()], raw_input_contents=[ROW.tobytes()] * 2),
        INVALID,
        ["'x'", "twice"],
    ),
    "unknown output": (infer(outputs=[{"name": "q"}]), INVALID, ["'q'", "['y']"]),
    "output requested twice": (infer(outputs=[{"name": "y"}] * 2), INVALID, ["'y'", "twice"]),
    "output requested very often": (infer(outputs=[{"name": "y"}] * 20_000), INVALID, TOO_MUCH_HEADER),
    "very many inputs": (infer(inputs=[tensor()] * 5_000), INVALID, TOO_MUCH_HEADER),
    "very many axes": (infer(inputs=[tensor(shape=(1,) * 70_000)]), INVALID, TOO_MUCH_HEADER),
    "very much surplus raw": (infer(raw_input_contents=[b""] * 40_000), INVALID, TOO_MUCH_HEADER),
    "very many parameters": (
        infer(parameters={f"mine {index}": {"int64_param": 1} for index in range(5_000)}),
        INVALID,
        TOO_MUCH_HEADER,
    ),
    "very many parameters of an input": (
        infer(inputs=[tensor(parameters={f"mine {index}": {"int64_param": 1} for index in range(5_000)})]),
        INVALID,
        TOO_MUCH_HEADER,
    ),
    "batch above the maximum": (
        infer(inputs=[tensor(shape=(9, 4))], raw_input_contents=[ROW.tobytes() * 9]),
        INVALID,
        ["8", "9"],
    ),
    "empty batch": (infer(inputs=[tensor(shape=(0, 4))], raw_input_contents=[b""]), INVALID, ["1 to 8", "0"]),
    "batches that differ": (
        infer(
            model_name="pair",
            inputs=[tensor(shape=(1, 4)), tensor("b", (2, 4))],
            raw_input_contents=[ROW.tobytes(), ROW.tobytes() * 2],
        ),
        INVALID,
        ["'x': 1", "'b': 2"],
    ),
    "empty, and beyond counting": (
        infer(model_name="grid", inputs=[tensor(shape=HUGE)], raw_input_contents=[b""]),
        INVALID,
        ["'x'", str(list(HUGE)), "too large"],
    ),
    "empty, beyond counting and typed": (
        infer(model_name="grid", inputs=[tensor(shape=HUGE, contents={"fp32_contents": []})], raw_input_contents=[]),
        INVALID,
        ["'x'", str(list(HUGE)), "too large"],
    ),
    "empty, beyond counting and BYTES": (
        infer(model_name="text_grid", inputs=[tensor(shape=HUGE, datatype="BYTES")], raw_input_contents=[b""]),
        INVALID,
        ["'x'", str(list(HUGE)), "too large"],
    ),
    "sizes whose product is huge": (
        infer(model_name="grid", inputs=[tensor(shape=(2, 2**62, 2**62))], raw_input_contents=[b""]),
        INVALID,
        [str(2**127), "received 0"],
    ),
    "many axes of huge sizes": (infer(inputs=[tensor(shape=(2**62,) * 60)]), INVALID, ["expected shape [-1, 4]"]),
    "byte count": (infer(raw_input_contents=[ROW.tobytes()[:-1]]), INVALID, ["16", "15"]),
    "raw and typed": (
        infer(inputs=[tensor(contents={"fp32_contents": ROW})]),
        INVALID,
        ["for 'x' for model 'double'", "raw_input_contents"],
    ),
    "neither raw nor typed": (infer(raw_input_contents=[]), INVALID, ["'x'", "neither"]),
    "surplus raw": (infer(raw_input_contents=[ROW.tobytes()] * 2), INVALID, ["1 inputs", "2"]),
    "typed of the wrong type": (typed(fp64_contents=ROW), INVALID, ["'x'", "fp32_contents", "fp64_contents"]),
    "typed count": (typed(fp32_contents=ROW[:3]), INVALID, ["4", "3"]),
    "typed out of range": (
        infer(
            model_name="integers8",
            inputs=[tensor(shape=(1, 2), datatype="INT8", contents={"int_contents": [1, 300]})],
            raw_input_contents=[],
        ),
        INVALID,
        ["INT8"],
    ),
    "typed FP16": (
        infer(
            model_name="half",
            inputs=[tensor(shape=(1, 2), datatype="FP16", contents={"fp32_contents": [1, 2]})],
            raw_input_contents=[],
        ),
        INVALID,
        ["FP16", "raw_input_contents"],
    ),
    "BOOL neither false nor true": (
        infer(model_name="truths", inputs=[tensor(shape=(1, 2), datatype="BOOL")], raw_input_contents=[b"\x01\x02"]),
        INVALID,
        ["'x'", "BOOL", "0 or 1"],
    ),
    "BYTES length cut": (
        infer(
            model_name="texts", inputs=[tensor(shape=(1, 2), datatype="BYTES")], raw_input_contents=[b"\x01\0\0\0a\2"]
        ),
        INVALID,
        ["malformed BYTES"],
    ),
    "BYTES element cut": (
        infer(model_name="texts", inputs=[tensor(shape=(1, 2), datatype="BYTES")], raw_input_contents=[b"\xff\0\0\0a"]),
        INVALID,
        ["malformed BYTES", "255"],
    ),
    "BYTES count": (
        infer(model_name="texts", inputs=[tensor(shape=(1, 2), datatype="BYTES")], raw_input_contents=[b"\x01\0\0\0a"]),
        INVALID,
        ["2", "1"],
    ),
    "parameter type": (
        infer(parameters={"timeout": {"string_param": "soon"}}),
        INVALID,
        ["timeout", "a text"],
    ),
    "reserved parameter": (infer(parameters={"triton_x": {"int64_param": 1}}), INVALID, ["triton_x", "reserved"]),
    "sequence": (infer(parameters={"sequence_id": {"int64_param": 5}}), INVALID, ["sequence_id", "state"]),
    "sequence by name": (infer(parameters={"sequence_id": {"string_param": "a"}}), INVALID, ["sequence_id", "state"]),
    "sequence start": (
        infer(parameters={"sequence_start": {"bool_param": True}}),
        INVALID,
        ["sequence_start", "state"],
    ),
    "priority type": (
        infer(parameters={"priority": {"bool_param": True}}),
        INVALID,
        ["priority", "true or false"],
    ),
    "negative timeout": (infer(parameters={"timeout": {"int64_param": -1}}), INVALID, ["timeout", "-1"]),
    "empty last answer": (
        infer(parameters={"triton_enable_empty_final_response": {"int64_param": 1}}),
        INVALID,
        ["triton_enable_empty_final_response", "true or false", "an integer"],
    ),
    "classification of 0": (
        infer(outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 0}}}]),
        INVALID,
        ["classification", "0"],
    ),
    "shared memory": (
        infer(inputs=[tensor(parameters={"shared_memory_region": {"string_param": "r"}})]),
        INVALID,
        ["shared_memory_region", "without 'shared_memory_byte_size'"],
    ),
    "classification that is no number": (
        infer(outputs=[{"name": "y", "parameters": {"classification": {"string_param": "3"}}}]),
        INVALID,
        ["'y'", "classification", "a text"],
    ),
    "region that is no text": (
        infer(
            inputs=[
                tensor(
                    parameters={
                        "shared_memory_region": {"int64_param": 1},
                        "shared_memory_byte_size": {"int64_param": 16},
                    }
                )
            ],
            raw_input_contents=[],
        ),
        INVALID,
        ["'x'", "shared_memory_region must be a text"],
    ),
}
