"""Reports for other programs: JUnit XML for a build, SARIF for a code review.

Values in, texts out; nothing here reads a policy or decides.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from forestall import __version__
from forestall.policy.problems import WARNING_CODES, PolicyWarning, Problem

if TYPE_CHECKING:
    from forestall.policy.testing import TestOutcome

_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # slow to compile
_RULES = {
    "policy_invalid": "The policy cannot be loaded as written.",
    "test_failed": "A case is decided otherwise than it wants.",
    **WARNING_CODES,
}

# -- JUnit --


class _JUnitCase(NamedTuple):
    """One case of a report: what went wrong in it, or an empty text."""

    name: str
    source: str
    line: int
    message: str


def junit_xml(outcomes: Sequence[TestOutcome]) -> str:
    """The outcomes as JUnit XML, one suite for each file."""
    cases = [
        _JUnitCase(
            each.name,
            each.source,
            each.line,
            "" if each.passed else f"wanted {each.wanted}, got {each.got}",
        )
        for each in outcomes
    ]
    return _junit(cases, "failure")


def problems_junit_xml(problems: Sequence[Problem]) -> str:
    """Policies that do not load as JUnit XML: one error for each mistake, so that a build which
    reads only this file fails."""
    cases = [
        _JUnitCase(
            f"line {each.line}: the policy loads",
            each.source,
            each.line,
            f"{each.message} ({each.hint})" if each.hint else each.message,
        )
        for each in problems
    ]
    return _junit(cases, "error")


def _junit(cases: Sequence[_JUnitCase], element: str) -> str:
    """A report with a suite for each file. `element` (failure, error) says what a message is."""
    failed = sum(bool(case.message) for case in cases)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="forestall policy" tests="{len(cases)}" {element}s="{failed}">',
    ]
    for source in dict.fromkeys(case.source for case in cases):
        suite = [case for case in cases if case.source == source]
        counts = {"failures": 0, "errors": 0, f"{element}s": sum(bool(c.message) for c in suite)}
        lines.append(
            f'  <testsuite name={_xml(source)} tests="{len(suite)}"'
            f' failures="{counts["failures"]}" errors="{counts["errors"]}" skipped="0">'
        )
        for case in suite:
            opening = f"    <testcase name={_xml(case.name)} classname={_xml(source)}"
            opening += f' file={_xml(source)} line="{case.line}"'
            if case.message:
                lines.append(f"{opening}>")
                lines.append(f"      <{element} message={_xml(case.message)}/>")
                lines.append("    </testcase>")
            else:
                lines.append(f"{opening}/>")
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _xml(text: str) -> str:
    """A quoted XML attribute. Characters that XML cannot represent are replaced."""
    return f'"{html.escape(re.sub(_NOT_XML, chr(0xFFFD), text))}"'


# -- SARIF --


class Result(NamedTuple):
    """One result of a SARIF log."""

    code: str
    level: str  # error, warning
    message: str
    source: str
    line: int
    column: int = 1
    length: int = 1


def problem_results(problems: Iterable[Problem]) -> Iterator[Result]:
    """Problems as results of a SARIF log."""
    for each in problems:
        length = max(1, each.length)
        place = (each.source, each.line, each.column, length)
        yield Result("policy_invalid", "error", _with_hint(each), *place)


def warning_results(warnings: Iterable[PolicyWarning]) -> Iterator[Result]:
    """Warnings as results of a SARIF log."""
    for each in warnings:
        level = "error" if each.error else "warning"
        yield Result(each.code, level, _with_hint(each), each.source, each.line)


def _with_hint(finding: Problem | PolicyWarning) -> str:
    return f"{finding.message}; {finding.hint}" if finding.hint else finding.message


def outcome_results(outcomes: Iterable[TestOutcome]) -> Iterator[Result]:
    """Failed cases as results of a SARIF log."""
    for each in outcomes:
        if not each.passed:
            message = f"{each.name}: wanted {each.wanted}, got {each.got}"
            yield Result("test_failed", "error", message, each.source, each.line)


def sarif_log(results: Iterable[Result]) -> dict[str, Any]:
    """A SARIF 2.1.0 log of one run."""
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "forestall",
                        "version": __version__,
                        "rules": [
                            {"id": code, "shortDescription": {"text": text}}
                            for code, text in _RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(each) for each in results],
            }
        ],
    }


def _sarif_result(result: Result) -> dict[str, Any]:
    return {
        "ruleId": result.code,
        "ruleIndex": list(_RULES).index(result.code),
        "level": result.level,
        "message": {"text": result.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(result.source)},
                    "region": {
                        "startLine": max(1, result.line),
                        "startColumn": max(1, result.column),
                        "endColumn": max(1, result.column) + result.length,
                    },
                }
            }
        ],
    }


def _uri(source: str) -> str:
    """The path relative to the working directory if it lies inside, as viewers of SARIF expect."""
    path = Path(source)
    if path.is_absolute():
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            return path.as_uri()
    return quote(path.as_posix())
