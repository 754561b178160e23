"""Output of `forestall policy …`: warnings, coverage, JUnit XML, SARIF, a snapshot in words.

Values in, texts out; nothing here reads a policy or decides.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec

from forestall import __version__
from forestall.cli.output import print_line
from forestall.policy.problems import WARNING_CODES, PolicyWarning, Problem
from forestall.policy.rule_conditions import clauses_in_words, said_of_result
from forestall.policy.rules import Clause, OutputRule, Rule

if TYPE_CHECKING:
    from forestall.policy.coverage import Coverage, RuleCoverage
    from forestall.policy.snapshot import Snapshot
    from forestall.policy.testing import TestOutcome

_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # slow to compile
_ENTRY_SHOWN_CHARS = 200  # of an own program
_RULES = {
    "policy_invalid": "The policy cannot be loaded as written.",
    "test_failed": "A case is decided otherwise than it wants.",
    **WARNING_CODES,
}


def problem_object(problem: Problem) -> dict[str, Any]:
    """A problem as an object for `--json`."""
    return {
        "source": problem.source,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def warning_object(warning: PolicyWarning) -> dict[str, Any]:
    """A warning as an object for `--json`."""
    return {name: getattr(warning, name) for name in PolicyWarning.__struct_fields__}


def print_warnings(warnings: Iterable[PolicyWarning]) -> None:
    """Print one line for each warning on stderr, in the form of a compiler, with its hint."""
    for each in warnings:
        word = "error" if each.error else "warning"
        text = f"{each.source}:{each.line}: {word}: {each.message} [{each.code}]"
        print_line(text, err=True)
        if each.hint:
            print_line(f"      = {each.hint}", err=True)


def print_weaker(weaker: Sequence[PolicyWarning]) -> None:
    """Print what a change makes weaker, one line for each rule, and the request that shows it."""
    if not weaker:
        print_line("nothing gets weaker: every decision is proven to be at least as strict")
    for each in weaker:
        print_line(f"{each.source}:{each.line}: weaker: {each.message} [{each.code}]")
        if each.hint:
            print_line(f"      = {each.hint}")


# -- tests --


def outcome_object(outcome: TestOutcome) -> dict[str, Any]:
    """A case and its outcome as an object for `--json`."""
    names = ("name", "passed", "wanted", "got", "source", "line")
    return {name: getattr(outcome, name) for name in names}


def coverage_object(coverage: Coverage) -> dict[str, Any]:
    """The coverage as an object for `--json`."""
    return {
        "rules": len(coverage.rules),
        "exercised": coverage.exercised,
        "percent": round(coverage.percent, 1),
        "decisions": dict(coverage.decisions),
        "default_used": coverage.default_used,
        "by_rule": msgspec.to_builtins(coverage.rules),
    }


def print_coverage(coverage: Coverage, *, in_full: bool) -> None:
    """Print the rules that no case exercises; `in_full` adds clauses and decisions."""
    silent = [rule for rule in coverage.rules if not rule.spoke]
    for rule in silent:
        print_line(f"never exercised: {rule.rule_id} ({rule.source}:{rule.line})")
    if in_full:
        for rule in coverage.rules:
            undecided = _undecided(rule)
            if undecided:
                print_line(f"never decisive: {rule.rule_id}: {', '.join(undecided)}")
        decisions = ", ".join(f"{word} {count}" for word, count in coverage.decisions.items())
        print_line(f"decisions: {decisions or 'none'}; by default {coverage.default_used}")
    if silent or in_full:
        print_line(
            f"coverage: {coverage.exercised} of {len(coverage.rules)} rules"
            f" ({coverage.percent:.4g}%)"
        )


def _undecided(rule: RuleCoverage) -> list[str]:
    """The clauses of a rule that spoke which no case shows to be necessary."""
    return [each.field for each in rule.clauses if rule.spoke and not each.decided]


def junit_xml(outcomes: Sequence[TestOutcome]) -> str:
    """The outcomes as JUnit XML, one suite for each file."""
    failed = sum(not each.passed for each in outcomes)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="forestall policy" tests="{len(outcomes)}" failures="{failed}">',
    ]
    for source in dict.fromkeys(each.source for each in outcomes):
        suite = [each for each in outcomes if each.source == source]
        failed = sum(not each.passed for each in suite)
        lines.append(
            f'  <testsuite name={_xml(source)} tests="{len(suite)}" failures="{failed}"'
            ' errors="0" skipped="0">'
        )
        for each in suite:
            case = f"    <testcase name={_xml(each.name)} classname={_xml(source)}"
            case += f' file={_xml(source)} line="{each.line}"'
            if each.passed:
                lines.append(f"{case}/>")
            else:
                message = f"wanted {each.wanted}, got {each.got}"
                lines.append(f"{case}>")
                lines.append(f"      <failure message={_xml(message)}/>")
                lines.append("    </testcase>")
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def problems_junit_xml(problems: Sequence[Problem]) -> str:
    """Policies that do not load as JUnit XML: one error for each mistake, so that a build which
    reads only this file fails."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="forestall policy" tests="{len(problems)}" errors="{len(problems)}">',
    ]
    for source in dict.fromkeys(each.source for each in problems):
        suite = [each for each in problems if each.source == source]
        lines.append(
            f'  <testsuite name={_xml(source)} tests="{len(suite)}" failures="0"'
            f' errors="{len(suite)}" skipped="0">'
        )
        for each in suite:
            name = f"line {each.line}: the policy loads"
            said = f"{each.message} ({each.hint})" if each.hint else each.message
            lines.append(
                f"    <testcase name={_xml(name)} classname={_xml(source)}"
                f' file={_xml(source)} line="{each.line}">'
            )
            lines.append(f"      <error message={_xml(said)}/>")
            lines.append("    </testcase>")
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
        message = f"{each.message}; {each.hint}" if each.hint else each.message
        yield Result(
            "policy_invalid",
            "error",
            message,
            each.source,
            each.line,
            each.column,
            max(1, each.length),
        )


def warning_results(warnings: Iterable[PolicyWarning]) -> Iterator[Result]:
    """Warnings as results of a SARIF log."""
    for each in warnings:
        message = f"{each.message}; {each.hint}" if each.hint else each.message
        level = "error" if each.error else "warning"
        yield Result(each.code, level, message, each.source, each.line)


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


# -- a snapshot in words --


def snapshot_object(snapshot: Snapshot) -> dict[str, Any]:
    """A compiled snapshot as an object for `--json`."""
    return {
        "snapshot": snapshot.digest,
        "default_decision": snapshot.default.value,
        "labels": _trust(snapshot),
        "derive": [
            {**msgspec.to_builtins(derivation), "file": file}
            for file, derivation in snapshot.all_derivations()
        ],
        "without_default_derivations": list(snapshot.without_default_derivations),
        "layers": [
            {
                "name": policy.name,
                "source": policy.source,
                "invariants": policy.invariants,
                "priority": policy.priority,
                "programs": [own.name for own in policy.programs],
                "use_programs": list(policy.programs_of),
                "rules": [_rule_object(rule) for rule in layer.rules],
                "output_rules": [_output_rule_object(rule) for rule in policy.output_rules],
            }
            for policy, layer in zip(snapshot.policies, snapshot.layers, strict=True)
        ],
    }


def _trust(snapshot: Snapshot) -> dict[str, str]:
    return {label: origin.name.lower() for label, origin in sorted(snapshot.label_trust.items())}


def _rule_object(rule: Rule) -> dict[str, Any]:
    value = msgspec.to_builtins(rule)
    for written in ("match", "unless", "effect"):
        value.pop(written, None)
    clauses = [
        {"field": each.field, "wanted": list(each.wanted)} for each in clauses_in_words(rule)
    ]
    return {"id": rule.id, "decision": rule.effect.value, "clauses": clauses, **value}


def _output_rule_object(rule: OutputRule) -> dict[str, Any]:
    value = msgspec.to_builtins(rule)
    for written in ("match", "unless", "verdict"):
        value.pop(written, None)
    clauses = [{"field": each.field, "wanted": list(each.wanted)} for each in said_of_result(rule)]
    return {"id": rule.id, "decision": rule.verdict.value, "clauses": clauses, **value}


def _print_default(snapshot: Snapshot) -> None:
    """The default decision, and the texts that an allowing default takes and nobody could read."""
    from forestall.policy.lint.warnings import analyse  # slow to load

    print_line(f"snapshot  {snapshot.digest}")
    print_line(f"default   {snapshot.default.value}")
    for warning in analyse(snapshot):
        if warning.code == "unknown_allowed":
            print_line(f"danger    {warning.message}")


def print_snapshot(snapshot: Snapshot) -> None:
    """Print a compiled snapshot in words: its rules in the order in which they decide."""
    _print_default(snapshot)
    for label, origin in _trust(snapshot).items():
        print_line(f"label     {label}: {origin}")
    for file, derivation in snapshot.all_derivations():
        topics, fields = ", ".join(derivation.topics), ", ".join(derivation.fields)
        ignore = "".join(f", ignoring {place}" for place in derivation.ignore)
        if derivation.except_topics:
            topics += " except " + ", ".join(derivation.except_topics)
        by = f" (layer {file})" if file else ""
        print_line(f"derive    {derivation.kind.value} on {topics} from {fields}{ignore}{by}")
    for file in snapshot.without_default_derivations:
        print_line(f"danger    no default derivations for the rules of layer {file}")
    for policy, layer in zip(snapshot.policies, snapshot.layers, strict=True):
        kind = "invariants" if policy.invariants else f"priority {policy.priority}"
        print_line()
        print_line(f"layer {policy.name} ({kind}) {policy.source}")
        for own in policy.programs:
            print_line(f"  program  {own.name}: {own.entry[:_ENTRY_SHOWN_CHARS]}")
        for name in policy.programs_of:
            print_line(f"  programs of {name}")
        for rule in layer.rules:
            for line in _rule_lines(rule):
                print_line(line)
        if policy.output_rules:
            print_line("  of results:")
        for each in policy.output_rules:
            for line in _output_rule_lines(each):
                print_line(line)


def _rule_lines(rule: Rule) -> Iterator[str]:
    yield f"  {rule.effect.value}  {rule.id}  (line {rule.line})"
    if rule.reason:
        yield f"      reason: {rule.reason}"
    for clause in clauses_in_words(rule):
        yield f"      {_clause_in_words(clause)}"
    extras = _rule_object(rule)
    for name in ("throttle", "approval", "constraints", "remediations", "owner", "severity"):
        if name in extras:
            yield f"      {name}: {_in_words(extras[name])}"


def _output_rule_lines(rule: OutputRule) -> Iterator[str]:
    yield f"  {rule.verdict.value}  {rule.id}  (line {rule.line})"
    if rule.reason:
        yield f"      reason: {rule.reason}"
    for clause in said_of_result(rule):
        yield f"      {_clause_in_words(clause)}"
    for name in ("owner", "severity"):
        if value := getattr(rule, name):
            yield f"      {name}: {value}"


def _clause_in_words(clause: Clause) -> str:
    joined = {"requires": " and ", "delegation": " and ", "unless": " and "}
    return f"{clause.field}: {joined.get(clause.field, ' or ').join(clause.wanted)}"


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_in_words(item) for item in value) or "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
