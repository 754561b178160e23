"""One rule's conditions as functions: the plain meaning of each clause, one at a time.

The index is only a faster way to find rules whose every clause holds; explain calls these directly.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from forestall.policy.fields import FIELDS, Kind, Labels, MatchField
from forestall.policy.globs import Matcher, compile_globs
from forestall.policy.index import LABEL_COLUMNS, is_settled
from forestall.policy.request import Request
from forestall.policy.rules import Clause, Match

Test = Callable[[Request, Labels], bool]
Finder = Callable[[Request, Labels], Sequence[str]]


class CompiledClause(NamedTuple):
    """One condition: what it says, whether it holds, and what it found."""

    clause: Clause
    holds: Test
    found: Finder


def compile_clauses(match: Match) -> tuple[CompiledClause, ...]:
    """Every clause of a match, in the order of the fields; all of them must hold."""
    clauses = [_field_clause(field, wanted) for field in FIELDS if (wanted := field.wanted(match))]
    clauses.extend(_label_clause(label, globs) for label, globs in match.labels)
    return tuple(clauses)


def said_clauses(match: Match) -> tuple[Clause, ...]:
    """What the clauses of a match say, in the order of the fields."""
    fields = [
        Clause(field=field.name, wanted=wanted)
        for field in FIELDS
        if (wanted := field.wanted(match))
    ]
    labels = [Clause(field=f"labels.{label}", wanted=globs) for label, globs in match.labels]
    return (*fields, *labels)


def residual_tests(match: Match) -> tuple[Test, ...]:
    """The tests of the clauses that the columns of the index leave open; most matches have none."""
    if len(match.requires) < 2 and len(match.labels) <= LABEL_COLUMNS:
        return ()
    return tuple(
        each.holds for each in compile_clauses(match) if not is_settled(each.clause.field, match)
    )


def _field_clause(field: MatchField, wanted: tuple[str, ...]) -> CompiledClause:
    values = field.values
    clause = Clause(field=field.name, wanted=wanted)

    def found(request: Request, labels: Labels) -> Sequence[str]:
        return values(request)

    return CompiledClause(clause, _field_test(field, wanted), found)


def _field_test(field: MatchField, wanted: tuple[str, ...]) -> Test:
    values = field.values
    words = frozenset(wanted)
    if field.kind is Kind.ALL_WORDS:
        return lambda request, labels: words.issubset(values(request))
    if field.kind is Kind.WORD:
        return lambda request, labels: not words.isdisjoint(values(request))
    matches = compile_globs(wanted)
    return lambda request, labels: any(matches(value) for value in values(request))


def _label_clause(label: str, globs: tuple[str, ...]) -> CompiledClause:
    matches: Matcher = compile_globs(globs)

    def holds(request: Request, labels: Labels) -> bool:
        value = labels.get(label)
        return value is not None and matches(value)

    def found(request: Request, labels: Labels) -> Sequence[str]:
        value = labels.get(label)
        return () if value is None else (value,)

    return CompiledClause(Clause(field=f"labels.{label}", wanted=globs), holds, found)
