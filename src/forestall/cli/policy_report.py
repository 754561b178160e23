"""Output of `forestall policy …` for people, and as JSON: warnings, coverage, a snapshot in words.

Nothing here reads a policy or decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from forestall.cli.output import print_line
from forestall.policy.problems import PolicyWarning, Problem
from forestall.policy.rule_conditions import clauses_in_words
from forestall.policy.rules import Clause, OutputRule, Rule

if TYPE_CHECKING:
    from forestall.policy.coverage import Coverage, RuleCoverage
    from forestall.policy.snapshot import Snapshot
    from forestall.policy.testing import TestOutcome

_ENTRY_SHOWN_CHARS = 200  # of an own program


def problem_object(problem: Problem) -> dict[str, Any]:
    """A problem as an object for `--json`."""
    names = ("source", "line", "column", "message", "hint")
    return {name: getattr(problem, name) for name in names}


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
                "output_rules": [_rule_object(rule) for rule in policy.output_rules],
            }
            for policy, layer in zip(snapshot.policies, snapshot.layers, strict=True)
        ],
    }


def _trust(snapshot: Snapshot) -> dict[str, str]:
    return {label: origin.name.lower() for label, origin in sorted(snapshot.label_trust.items())}


def _rule_object(rule: Rule | OutputRule) -> dict[str, Any]:
    value = msgspec.to_builtins(rule)
    for as_written in ("match", "unless", "effect", "verdict"):
        value.pop(as_written, None)
    clauses = [
        {"field": each.field, "wanted": list(each.wanted)} for each in clauses_in_words(rule)
    ]
    return {"id": rule.id, "decision": rule.decision.value, "clauses": clauses, **value}


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
            _print_rule(rule)
        if policy.output_rules:
            print_line("  of results:")
        for output_rule in policy.output_rules:
            _print_rule(output_rule)


def _print_rule(rule: Rule | OutputRule) -> None:
    print_line(f"  {rule.decision.value}  {rule.id}  (line {rule.line})")
    if rule.reason:
        print_line(f"      reason: {rule.reason}")
    for clause in clauses_in_words(rule):
        print_line(f"      {_clause_in_words(clause)}")
    fields = _rule_object(rule)
    for name in ("throttle", "approval", "constraints", "remediations", "owner", "severity"):
        if name in fields:
            print_line(f"      {name}: {_in_words(fields[name])}")


def _clause_in_words(clause: Clause) -> str:
    joined = {"requires": " and ", "delegation": " and ", "unless": " and "}
    return f"{clause.field}: {joined.get(clause.field, ' or ').join(clause.wanted)}"


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_in_words(item) for item in value) or "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
