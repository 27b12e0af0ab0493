"""The one table of datatypes: how the protocol, numpy, ONNX Runtime and ONNX call each, and what it can hold.

Standard library only: the packages that own numpy and onnx look theirs up by the text or number that stands here. What
has no line cannot be served, such as BF16 and the 8-bit floats, which numpy does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What the elements of a tensor are."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"


@dataclass(frozen=True)
class Datatype:
    """What one datatype is called, and what it can hold."""

    name: str
    """The protocol's name."""
    kind: Kind
    numpy: str
    """numpy's dtype, little-endian, as on the wire. Texts are Python `bytes` objects."""
    ort: str
    """The type of such a tensor, in ONNX Runtime and in ONNX's operator schemas."""
    onnx: int
    """Element type, of onnx.TensorProto.DataType."""
    contents: str
    """Field of InferTensorContents. Empty: it travels as raw bytes only, and has no form in JSON."""
    range: tuple[float, float] | None
    """Least and greatest value; None for texts."""

    @property
    def triton(self) -> str:
        """The name of its DataType in a ModelConfig."""
        return "TYPE_STRING" if self.kind is Kind.TEXT else f"TYPE_{self.name}"

    @property
    def is_number(self) -> bool:
        """Whether its elements can be counted with, and ranked."""
        return self.kind in (Kind.INTEGER, Kind.FLOAT)


_HALF, _SINGLE, _DOUBLE = 65504.0, 3.4028234663852886e38, 1.7976931348623157e308

_TABLE = (
    Datatype("BOOL", Kind.BOOLEAN, "?", "tensor(bool)", 9, "bool_contents", (0, 1)),
    Datatype("UINT8", Kind.INTEGER, "<u1", "tensor(uint8)", 2, "uint_contents", (0, 2**8 - 1)),
    Datatype("UINT16", Kind.INTEGER, "<u2", "tensor(uint16)", 4, "uint_contents", (0, 2**16 - 1)),
    Datatype("UINT32", Kind.INTEGER, "<u4", "tensor(uint32)", 12, "uint_contents", (0, 2**32 - 1)),
    Datatype("UINT64", Kind.INTEGER, "<u8", "tensor(uint64)", 13, "uint64_contents", (0, 2**64 - 1)),
    Datatype("INT8", Kind.INTEGER, "<i1", "tensor(int8)", 3, "int_contents", (-(2**7), 2**7 - 1)),
    Datatype("INT16", Kind.INTEGER, "<i2", "tensor(int16)", 5, "int_contents", (-(2**15), 2**15 - 1)),
    Datatype("INT32", Kind.INTEGER, "<i4", "tensor(int32)", 6, "int_contents", (-(2**31), 2**31 - 1)),
    Datatype("INT64", Kind.INTEGER, "<i8", "tensor(int64)", 7, "int64_contents", (-(2**63), 2**63 - 1)),
    Datatype("FP16", Kind.FLOAT, "<f2", "tensor(float16)", 10, "", (-_HALF, _HALF)),
    Datatype("FP32", Kind.FLOAT, "<f4", "tensor(float)", 1, "fp32_contents", (-_SINGLE, _SINGLE)),
    Datatype("FP64", Kind.FLOAT, "<f8", "tensor(double)", 11, "fp64_contents", (-_DOUBLE, _DOUBLE)),
    Datatype("BYTES", Kind.TEXT, "O", "tensor(string)", 8, "bytes_contents", None),
)

DATATYPES: dict[str, Datatype] = {datatype.name: datatype for datatype in _TABLE}
"""The protocol's name -> the datatype."""
