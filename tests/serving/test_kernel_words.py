"""What the ready line says of kernels."""

from dataclasses import dataclass

from fovea.runtime.kernel_library import Cause
from fovea.serving.kernel_words import WORDS, kernel_words


@dataclass(frozen=True)
class Version:
    name: str
    kernels: str
    kernels_cause: str = ""
    kernels_reason: str = ""


def body(name: str, cause: Cause, reason: str) -> Version:
    return Version(name, "body", cause.value, reason)


FUSED = [Version("a", "fused"), Version("b", "fused"), Version("plain", "none")]
NEEDLESS = body("vit", Cause.NOT_NEEDED, "ONNX Runtime's own kernel runs MultiHeadAttention")
SLOW = [body("c", Cause.SLOWER, "kernels took 2 ms a row"), body("d", Cause.SLOWER, "kernels took 3 ms a row")]


def test_one_state_is_one_word() -> None:
    assert kernel_words(FUSED) == "fused"
    assert kernel_words([Version("plain", "none")]) == "none"
    assert kernel_words([]) == "none"


def test_bodies_alone_have_their_reason() -> None:
    reason = "no kernel library: no C++ compiler when it was built"
    assert kernel_words([body(name, Cause.NO_LIBRARY, reason) for name in "ab"]) == f"body ({reason})"
    assert kernel_words([*FUSED[2:], *SLOW]) == "body (quicker)"


def test_several_states_are_counted_and_the_bodies_named() -> None:
    told = "c, d: quicker; vit: ONNX Runtime's own kernel runs MultiHeadAttention"
    assert kernel_words([*FUSED, *SLOW, NEEDLESS]) == f"fused (2 models), body (3 models: {told})"
    assert kernel_words([*SLOW, NEEDLESS]) == f"body (3 models: {told})"


def test_two_versions_of_a_model_are_one_model() -> None:
    assert kernel_words([*FUSED, NEEDLESS, NEEDLESS]).startswith("fused (2 models), body (1 model: vit: ")


def test_long_reason_is_cut() -> None:
    assert len(kernel_words([body("a", Cause.FAILED, "x" * 500)])) < 140


def test_every_cause_has_words() -> None:
    assert set(WORDS) == set(Cause)
