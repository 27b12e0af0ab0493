"""Which trouble with a load may be over later, although the files stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from signal import SIGKILL

from fovea.contract.errors import Misconfigured
from fovea.runtime.ort_errors import is_out_of_memory
from fovea.runtime.trial_process import Ended


def may_pass(error: BaseException) -> bool:
    """Whether the machine may be to blame, not the files: too little memory or time, too many open files, no GPU."""
    return any(_is_of_the_machine(one) for one in _with_causes(error))


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_the_machine(error: BaseException) -> bool:
    if isinstance(error, Ended):
        return error.status == -SIGKILL  # so ends what Linux takes the memory from; a file that crashes ends otherwise
    return isinstance(error, OSError | Misconfigured) or is_out_of_memory(error)  # a TimeoutError is an OSError
