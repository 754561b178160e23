"""The conditions of one rule as functions: the plain meaning of each clause, one at a time.

The index finds the same rules sooner; explain calls these functions directly. Their order is part
of the meaning, because a clause that cannot be evaluated is not reached when an earlier one fails:
fields, labels, tests of both, secrets, time, delegation, commands, arguments, content, `unless`
last.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from forestall.policy.arguments import ArgumentError, compile_amount, compile_condition
from forestall.policy.calendar import compile_time
from forestall.policy.content import compile_content
from forestall.policy.field_tests import compile_field_test, values_of
from forestall.policy.fields import FIELDS, FieldKind, Labels, MatchField
from forestall.policy.globs import Matcher, compile_globs
from forestall.policy.index import LABEL_COLUMNS, is_settled
from forestall.policy.own_programs import table_of
from forestall.policy.request import Request, arguments_of, remembered
from forestall.policy.rules import (
    ArgCondition,
    Clause,
    Comparison,
    ContentMatch,
    DelegationMatch,
    FieldTest,
    Match,
    Operator,
    OutputRule,
    OwnProgram,
    Rule,
    TimeMatch,
)
from forestall.policy.secret_references import holds_secret_reference

Test = Callable[[Request, Labels, datetime], bool]
Finder = Callable[[Request, Labels, datetime], Sequence[str]]


class CompiledClause(NamedTuple):
    """One condition of a rule: its words, its test, and what the request has in its field.

    `in_index` says whether the index may settle the condition: of a field or label, not of a test
    of one.
    """

    clause: Clause
    holds: Test
    found: Finder
    in_index: bool = True


def compile_clauses(match: Match) -> tuple[CompiledClause, ...]:
    """The clauses of a match in their order. The match holds when all of them do."""
    clauses = [
        _field_clause(field, expected) for field in FIELDS if (expected := field.wanted(match))
    ]
    clauses.extend(_label_clause(label, globs) for label, globs in match.labels)
    clauses.extend(_test_clause(test) for test in match.tests)
    if match.secrets_present is not None:
        clauses.append(_secrets_clause(match.secrets_present))
    if match.time is not None:
        clauses.append(_time_clause(match.time))
    if match.delegation is not None:
        clauses.append(_delegation_clause(match.delegation))
    if match.commands:
        clauses.append(_commands_clause(match.commands, match.own_programs))
    clauses.extend(_argument_clause(condition) for condition in match.args)
    if match.content is not None:
        clauses.append(_content_clause(match.content))
    return tuple(clauses)


def rule_clauses(rule: Rule) -> tuple[CompiledClause, ...]:
    """The clauses of a rule: those of its match, then one that holds when `unless` does not, then
    one that holds when the amount that its throttle adds up is there."""
    amount = amount_test(rule)
    clauses = _clauses_without_amount(rule)
    return clauses if amount is None else (*clauses, amount)


def _clauses_without_amount(rule: Rule) -> tuple[CompiledClause, ...]:
    clauses = compile_clauses(rule.match)
    return (*clauses, _unless_clause(rule.unless)) if rule.unless is not None else clauses


def clauses_in_words(rule: Rule | OutputRule) -> tuple[Clause, ...]:
    """The clauses of a rule in words, in their order."""
    if isinstance(rule, OutputRule):
        return _output_clauses(rule)
    return tuple(each.clause for each in rule_clauses(rule))


def residual_tests(rule: Rule) -> tuple[Test, ...]:
    """The tests that the columns of the index do not settle; most rules have none."""
    match = rule.match
    settled = (
        rule.unless is None
        and len(match.requires) < 2
        and len(match.labels) <= LABEL_COLUMNS
        and not match.tests
        and match.secrets_present is None
        and match.time is None
        and match.delegation is None
        and not match.commands
        and not match.args
        and match.content is None
    )
    if settled:
        return ()
    return tuple(
        each.holds
        for each in _clauses_without_amount(rule)
        if not (each.in_index and is_settled(each.clause.field, match))
    )


def _field_clause(field: MatchField, expected: tuple[str, ...]) -> CompiledClause:
    values = field.values
    clause = Clause(field=field.name, wanted=expected)
    test = _field_test(field, expected)
    return CompiledClause(clause, test, lambda request, labels, now: values(request))


def _field_test(field: MatchField, expected: tuple[str, ...]) -> Test:
    values = field.values
    words = frozenset(expected)
    if field.kind is FieldKind.ALL_WORDS:
        return lambda request, labels, now: words.issubset(values(request))
    if field.kind is FieldKind.WORD:
        return lambda request, labels, now: not words.isdisjoint(values(request))
    matches = compile_globs(expected)
    return lambda request, labels, now: any(matches(value) for value in values(request))


def _label_clause(label: str, globs: tuple[str, ...]) -> CompiledClause:
    matches: Matcher = compile_globs(globs)

    def holds(request: Request, labels: Labels, now: datetime) -> bool:
        value = labels.get(label)
        return value is not None and matches(value)

    def found(request: Request, labels: Labels, now: datetime) -> Sequence[str]:
        value = labels.get(label)
        return () if value is None else (value,)

    return CompiledClause(Clause(field=f"labels.{label}", wanted=globs), holds, found)


def _test_clause(test: FieldTest) -> CompiledClause:
    check = compile_field_test(test)
    expected = (
        tuple(f"not {glob}" for glob in test.operand)
        if test.operator is Operator.NOT
        else (comparison_in_words(test.operator, test.operand),)
    )
    return CompiledClause(
        Clause(field=test.field, wanted=expected),
        lambda request, labels, now: check(request, labels),
        lambda request, labels, now: values_of(test, request, labels),
        in_index=False,
    )


def _secrets_clause(expected: bool) -> CompiledClause:
    def look(request: Request) -> bool:
        return holds_secret_reference(request.payload) or holds_secret_reference(request.args)

    def present(request: Request) -> bool:
        return remembered(request, holds_secret_reference, look)

    return CompiledClause(
        Clause(field="secrets_present", wanted=(str(expected).lower(),)),
        lambda request, labels, now: present(request) is expected,
        lambda request, labels, now: (str(present(request)).lower(),),
    )


def _time_clause(match: TimeMatch) -> CompiledClause:
    inside = compile_time(match)
    hours = (f"{b // 60:02}:{b % 60:02}-{e // 60:02}:{e % 60:02}" for b, e in match.hours)
    expected = (*match.days, *hours, match.timezone)
    return CompiledClause(
        Clause(field="time", wanted=expected),
        lambda request, labels, now: inside(now),
        lambda request, labels, now: (now.isoformat(),),
    )


def _delegation_clause(match: DelegationMatch) -> CompiledClause:
    def holds(request: Request, labels: Labels, now: datetime) -> bool:
        given = request.delegation
        if match.forbid_delegated or given is None:
            return match.forbid_delegated and given is None
        return (
            (match.max_depth is None or given.depth <= match.max_depth)
            and (not match.issuers or _all_issued_by(match.issuers, given.issuers))
            and set(match.required_scope) <= set(given.scope)
        )

    expected = [f"scope {word}" for word in match.required_scope]
    expected += [f"issuer {word}" for word in match.issuers]
    if match.max_depth is not None:
        expected.append(f"depth at most {match.max_depth}")
    if match.forbid_delegated:
        expected.append("not delegated")
    return CompiledClause(
        Clause(field="delegation", wanted=tuple(expected)),
        holds,
        lambda request, labels, now: ("delegated" if request.delegation else "not delegated",),
    )


def _all_issued_by(expected: tuple[str, ...], issuers: tuple[str, ...]) -> bool:
    """Whether a trusted issuer issued every link of the chain. An empty chain proves nothing."""
    return bool(issuers) and set(issuers) <= set(expected)


def _commands_clause(
    patterns: tuple[str, ...], own_programs: tuple[OwnProgram, ...]
) -> CompiledClause:
    # Imported here: few rules name commands, and the pattern reads the table of programs.
    from forestall.facts.shell.command_patterns import (
        CommandPattern,
        CommandUnresolvedError,
        any_holds,
    )

    programs = table_of(own_programs)
    compiled = [CommandPattern(pattern, programs) for pattern in patterns]

    def holds(request: Request, labels: Labels, now: datetime) -> bool:
        words = labels.get("command_words", "")
        try:
            return any_holds(compiled, words)
        except CommandUnresolvedError as cause:
            raise ArgumentError(str(cause)) from cause

    return CompiledClause(
        Clause(field="commands", wanted=patterns),
        holds,
        lambda request, labels, now: tuple(filter(None, (labels.get("command_words"),))),
    )


def _argument_clause(condition: ArgCondition) -> CompiledClause:
    test = compile_condition(condition)
    comparison = comparison_in_words(condition.operator, condition.operand)

    def holds(request: Request) -> bool:
        given = arguments_of(request)
        return remembered(request, (test, id(given)), lambda one: test(given))

    # `found` stays empty: arguments may hold secrets.
    return CompiledClause(
        Clause(field=f"args.{condition.path}", wanted=(comparison,)),
        lambda request, labels, now: holds(request),
        lambda request, labels, now: (),
    )


def amount_test(rule: Rule) -> CompiledClause | None:
    """The clause of a throttle rule that adds up amounts; None for any other rule.

    It holds whenever the amount can be added up. One that cannot would not be counted, so its test
    raises ArgumentError.
    """
    if rule.throttle is None or not rule.throttle.sum:
        return None
    path = rule.throttle.sum
    amount = compile_amount(path)
    return CompiledClause(
        Clause(field="throttle.sum", wanted=(f"an amount at {path}",)),
        lambda request, labels, now: amount(arguments_of(request)) >= 0,
        lambda request, labels, now: (),
    )


def comparison_in_words(operator: Operator, operand: Any) -> str:
    """A comparison in words, such as `every glob '*@example.com'`."""
    if operator is Operator.ONLY:
        return f"{operator} {', '.join(map(repr, operand)) or 'no member'}"
    if isinstance(operand, tuple) and isinstance(operand[0], Comparison):
        inner = " and ".join(comparison_in_words(each.operator, each.operand) for each in operand)
        return f"{operator} {inner}"
    return f"{operator} {operand!r}"


def _output_clauses(rule: OutputRule) -> tuple[Clause, ...]:
    """The clauses of an output rule: each content criterion is a clause of its own."""
    content = rule.match.content or ContentMatch()
    of_job = msgspec.structs.replace(rule.match, content=None)
    clauses = [each.clause for each in compile_clauses(of_job)]
    criteria = {
        "detectors": content.detector_names,
        "keywords": content.keywords,
        "patterns": content.patterns,
        "content_types": content.content_types,
        "size_gt": () if content.size_gt is None else (str(content.size_gt),),
    }
    clauses += [Clause(field=name, wanted=value) for name, value in criteria.items() if value]
    if rule.unless is not None:
        clauses.append(_unless_clause(rule.unless).clause)
    return tuple(clauses)


def _content_clause(match: ContentMatch) -> CompiledClause:
    test = compile_content(match)
    expected = [*match.detector_names, *match.content_types]
    expected += [f"keyword {word}" for word in match.keywords]
    expected += [f"pattern {text}" for text in match.patterns]
    if match.size_gt is not None:
        expected.append(f"more than {match.size_gt} bytes")
    # `found` stays empty: it could be the very secret that the rule looks for.
    return CompiledClause(
        Clause(field="content", wanted=tuple(expected)),
        lambda request, labels, now: remembered(request, test, test),
        lambda request, labels, now: (),
    )


def _unless_clause(unless: Match) -> CompiledClause:
    clauses = compile_clauses(unless)
    expected = tuple(f"not {each.clause.field}: {'|'.join(each.clause.wanted)}" for each in clauses)
    return CompiledClause(
        Clause(field="unless", wanted=expected),
        lambda request, labels, now: not all(each.holds(request, labels, now) for each in clauses),
        lambda request, labels, now: (),
    )
