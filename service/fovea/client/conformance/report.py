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
    """The end of the text: how many required cases passed over each front, and each extension."""
    for front, extension, counts in _groups(results):
        asked = counts[Verdict.PASSED] + counts[Verdict.FAILED]
        what = f"{front} {extension or 'required'}"
        skipped = f", {counts[Verdict.SKIPPED]} skipped" if counts[Verdict.SKIPPED] else ""
        yield f"{what:36} {f'{counts[Verdict.PASSED]} of {asked} passed{skipped}' if asked else 'not offered'}"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """`{"conforms": …, "required": {"<front>": {"<verdict>": count}}, "extensions": …, "cases": […]}`."""
    counts = [(front, extension, dict(counts)) for front, extension, counts in _groups(results)]
    return {
        "conforms": conforms(results),
        "required": {front: found for front, extension, found in counts if not extension},
        "extensions": {f"{extension} ({front})": found for front, extension, found in counts if extension},
        "cases": [_facts(one) for one in results],
    }


def _groups(results: Sequence[Result]) -> Iterator[tuple[str, str, Counter[str]]]:
    """By front and extension, what is required first, how often each verdict is there."""
    for part in sorted({(bool(one.case.extension), one.case.front, one.case.extension) for one in results}):
        of = [one for one in results if (one.case.front, one.case.extension) == part[1:]]
        yield part[1], part[2], Counter(one.verdict.value for one in of)


def _facts(result: Result) -> dict[str, Any]:
    case = result.case
    return {
        "front": case.front,
        "name": case.name,
        "extension": case.extension or None,
        "asked": case.asked,
        "expected": case.expected.words,
        "came": result.came,
        "verdict": result.verdict.value,
    }
