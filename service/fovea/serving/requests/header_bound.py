"""How much a request may have beside its tensors' data.

Millions of empty inputs, outputs or parameters fit into a message that may be sent, and each becomes an object, a
check, a word in an error text, while everybody waits. A model of thousands of inputs needs more than others: each
version has a bound of its own, which its names make. Before the version is known, the largest of them holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from fovea.contract.errors import InvalidRequest

LEAST_BOUND = 64 * 1024
"""A hundred inputs with their parameters have 10 KB."""
LEAST_FIELD = 8
"""What costs time is the number of fields rather than their size: none counts as less. 64 KB take 3 ms at worst."""
_TENSOR_BYTES = 256
"""Bytes of an input or output beside its name: datatype, shape, and where in shared memory it is."""


def header_bound(tensors: Iterable[str]) -> int:
    """The most that a request may have beside its data, to a version that has tensors of these names."""
    return max(LEAST_BOUND, sum(len(name.encode()) + _TENSOR_BYTES for name in tensors))


def require_bounded(size: int, most: int) -> None:
    """InvalidRequest for a request that has more bytes beside its data than it may."""
    if size > most:
        raise InvalidRequest(
            f"expected at most {most} bytes beside the tensors' data (names, shapes, parameters, outputs; each field "
            f"counts as {LEAST_FIELD} or more), received more"
        )
