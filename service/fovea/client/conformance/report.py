"""What a server's examination found, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fovea.client.conformance.case import Result, Verdict

_MARKS = {Verdict.PASSED: "passed", Verdict.FAILED: "FAILED", Verdict.NOT_OFFERED: "absent", Verdict.SKIPPED: "skipped"}


def conforms(results: Sequence[Result]) -> bool:
    """Whether every required case that could be asked has passed, and there was one."""
    required = [one.verdict for one in results if not one.case.extension]
    return Verdict.FAILED not in required and Verdict.PASSED in required


def as_text(result: Result, every: bool) -> str:
    """A line for a case, and for one that failed what was asked, expected and got; nothing of others unless `every`."""
    case = result.case
    of = f" ({case.extension})" if case.extension else ""
    line = f"{_MARKS[result.verdict]:8}{case.front}  {case.name}{of}"
    if result.verdict is Verdict.FAILED:
        facts = ("asked", case.asked), ("expected", case.expected.words), ("came", result.came)
        return "\n".join([line, *(f"{'':10}{name:9} {words}" for name, words in facts)])
    return line if every else ""


def summary(results: Sequence[Result]) -> Iterator[str]:
    """The end of the text: of what is required, how many right requests were answered and wrong ones refused, over
    each front; then each extension."""
    for (_, front, extension, refusal), counts in _groups(results):
        asked = counts[Verdict.PASSED] + counts[Verdict.FAILED]
        what = extension or ("required: wrong requests refused" if refusal else "required: right requests answered")
        skipped = f", {counts[Verdict.SKIPPED]} skipped" if counts[Verdict.SKIPPED] else ""
        yield f"{front}  {what:36} {f'{counts[Verdict.PASSED]} of {asked}{skipped}' if asked else 'not offered'}"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """`{"conforms": …, "summary": [{"front": …, "extension": …, "refusal": …, "passed": …, …}], "cases": […]}`."""
    names = ("front", "extension", "refusal")
    sums = [{**dict(zip(names, group[1:], strict=True)), **counts} for group, counts in _groups(results)]
    return {"conforms": conforms(results), "summary": sums, "cases": [_facts(one) for one in results]}


def _groups(results: Sequence[Result]) -> list[tuple[tuple[bool, str, str, bool], Counter[str]]]:
    """How often each verdict is there; what is required comes first."""
    found: dict[tuple[bool, str, str, bool], Counter[str]] = {}
    for one in results:
        case = one.case
        group = (bool(case.extension), case.front, case.extension, not case.extension and case.expected.refusal)
        found.setdefault(group, Counter())[one.verdict.value] += 1
    return sorted(found.items(), key=lambda item: item[0])


def _facts(result: Result) -> dict[str, Any]:
    case = result.case
    return {
        "front": case.front,
        "name": case.name,
        "extension": case.extension,
        "refusal": case.expected.refusal,
        "asked": case.asked,
        "expected": case.expected.words,
        "came": result.came,
        "verdict": result.verdict.value,
    }
