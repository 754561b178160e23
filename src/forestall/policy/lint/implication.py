"""Decide questions about matches: can one hold, does one imply another, can two hold together?

"Yes" is proven; "no" may mean "not proven". Every question is about one label view and one actor,
because a rule is tested on a request under one of each. A job has a topic of the wire's grammar; an
output rule may see any topic, or none.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from forestall.policy.arguments import (
    EACH,
    ORDERED,
    ArgumentError,
    Step,
    Steps,
    compile_condition,
    names_of_not_only,
    names_of_only,
    parse_path,
)
from forestall.policy.calendar import DAYS, MINUTES_PER_DAY, in_hours
from forestall.policy.claims import claimed_in
from forestall.policy.fields import FIELDS, FieldKind, MatchField
from forestall.policy.lint.content import content_conflict, content_covers
from forestall.policy.lint.globs import can_match, globs_cover, globs_disjoint
from forestall.policy.rules import (
    ArgCondition,
    DelegationMatch,
    FieldTest,
    Match,
    Operator,
    OutputRule,
    Rule,
    TimeMatch,
)

# words of which a request has exactly one
_ONE_TEXT = frozenset({"actor_types", "agent_risk_tiers"})
_PLAIN_TOPIC = re.compile(r"\*|job(?:\.[A-Za-z0-9_-]+)*(?:\.\*|\.[A-Za-z0-9_-]+\*?)")
# Fields of a match for which this module has reasoning. Any other covers only an equal field.
_REASONED = frozenset(
    {
        *(field.name.partition(".")[0] for field in FIELDS),
        *("labels", "commands", "own_programs", "tests", "secrets_present"),
        *("time", "delegation", "args", "content"),
    }
)
_UNREASONED = tuple(name for name in Match.__struct_fields__ if name not in _REASONED)


def contradiction(rule: Rule | OutputRule, *, wire: bool = True) -> str:
    """Why no request (or result) can match the rule; empty when that is not proven. Without `wire`
    a job may have any topic, as a program that embeds the evaluator gives it."""
    of_job = wire and isinstance(rule, Rule)
    topics = rule.match.topics
    if topics and not any(_fits_some_topic(glob, of_job) for glob in topics):
        return "no topic fits " + " or ".join(f"`{glob}`" for glob in topics)
    for test in rule.match.tests:
        globs = _patterns(rule.match, test) or ("*",)
        if test.operator is Operator.NOT and globs_cover(test.operand, globs):
            return f"`not` leaves no value of `{test.field}`"
    conflict = _argument_conflict(rule.match.args) or content_conflict(rule.match.content)
    if conflict:
        return conflict
    # An exception that rests on a claim does not keep a rule from speaking.
    unless = None if claimed_in(rule.unless) else rule.unless
    if unless is not None and covers(unless, rule.match, of_job=of_job):
        return "its `unless` holds whenever its `match` does"
    return ""


def _fits_some_topic(glob: str, of_job: bool) -> bool:
    """False only when it is proven that the glob matches no topic. Most globs need no search."""
    if not of_job and "[" not in glob:
        return True
    return _PLAIN_TOPIC.fullmatch(glob) is not None or can_match(glob, topic=of_job)


def rule_covers(wider: Rule | OutputRule, narrower: Rule | OutputRule) -> bool:
    """Whether the wider rule matches, or cannot be evaluated, wherever the narrower one matches."""
    of_job = isinstance(narrower, Rule)
    if not covers(wider.match, narrower.match, of_job=of_job):
        return False
    return (
        wider.unless is None
        or disjoint(wider.unless, narrower.match, of_job=of_job)
        or (narrower.unless is not None and covers(narrower.unless, wider.unless, of_job=of_job))
    )


def covers(wider: Match, narrower: Match, *, of_job: bool = True) -> bool:
    """Whether `wider` holds of every request of which `narrower` holds."""
    return (
        wider.secrets_present in (None, narrower.secrets_present)
        and _time_covers(wider.time, narrower.time)
        and _delegation_covers(wider.delegation, narrower.delegation)
        and content_covers(wider.content, narrower.content)
        and all(_implied(condition, narrower.args) for condition in wider.args)
        and all(
            getattr(wider, name) in (getattr(Match(), name), getattr(narrower, name))
            for name in _UNREASONED
        )
        and all(_test_implied(test, narrower) for test in wider.tests)
        and _commands_cover(wider, narrower)
        and _labels_cover(wider, narrower)
        and all(_field_covers(field, wider, narrower, of_job) for field in reversed(FIELDS))
    )


def disjoint(one: Match, other: Match, *, of_job: bool = True) -> bool:
    """Whether it is proven that no request matches both, under one label view."""
    labels = dict(other.labels)
    return (
        any(_field_disjoint(field, one, other, of_job) for field in FIELDS)
        or any(name in labels and globs_disjoint(globs, labels[name]) for name, globs in one.labels)
        or {one.secrets_present, other.secrets_present} == {True, False}
        or bool(_argument_conflict((*one.args, *other.args)))
    )


# -- fields and labels --


def _field_covers(field: MatchField, wider: Match, narrower: Match, of_job: bool) -> bool:
    wide, narrow = field.wanted(wider), field.wanted(narrower)
    if not wide:
        return True
    if field.name == "topics" and of_job:  # every job has a topic
        return globs_cover(wide, narrow or ("*",), topic=True)
    if not narrow:
        return False
    if field.kind is FieldKind.ALL_WORDS:
        return set(wide) <= set(narrow)
    return set(narrow) <= set(wide) if field.kind is FieldKind.WORD else globs_cover(wide, narrow)


def _field_disjoint(field: MatchField, one: Match, other: Match, of_job: bool) -> bool:
    ours, theirs = field.wanted(one), field.wanted(other)
    if not ours or not theirs:
        return False
    if field.kind is FieldKind.GLOB:
        return globs_disjoint(ours, theirs, topic=of_job and field.name == "topics")
    return field.name in _ONE_TEXT and not set(ours) & set(theirs)


def _commands_cover(wider: Match, narrower: Match) -> bool:
    """Patterns over the words of a command are compared as written, under one table of programs."""
    if not wider.commands:
        return True
    written = bool(narrower.commands) and set(narrower.commands) <= set(wider.commands)
    return written and wider.own_programs == narrower.own_programs


def _test_implied(conclusion: FieldTest, premise: Match) -> bool:
    """Whether a test holds, or cannot be evaluated, wherever the match holds."""
    if conclusion in premise.tests:
        return True
    patterns = _patterns(premise, conclusion)
    return (
        conclusion.operator is Operator.NOT
        and bool(patterns)
        and globs_disjoint(patterns, conclusion.operand)
    )


def _patterns(match: Match, test: FieldTest) -> tuple[str, ...]:
    """The globs that a match has for the field or label of a test, of which one must match."""
    if test.label:
        return dict(match.labels).get(test.label, ())
    return next(field.wanted(match) for field in FIELDS if field.name == test.field)


def _labels_cover(wider: Match, narrower: Match) -> bool:
    labels = dict(narrower.labels)
    return all(name in labels and globs_cover(globs, labels[name]) for name, globs in wider.labels)


# -- time and delegation --


def _time_covers(wider: TimeMatch | None, narrower: TimeMatch | None) -> bool:
    if wider is None:
        return True
    if narrower is None or wider.timezone != narrower.timezone:
        return False
    days = set(narrower.days or DAYS) <= set(wider.days or DAYS)
    return days and _minutes(narrower) <= _minutes(wider)


def _minutes(match: TimeMatch) -> set[int]:
    return {minute for minute in range(MINUTES_PER_DAY) if in_hours(minute, match.hours)}


def _delegation_covers(wider: DelegationMatch | None, narrower: DelegationMatch | None) -> bool:
    if wider is None or wider == narrower:
        return True
    if narrower is None or wider.forbid_delegated or narrower.forbid_delegated:
        return False
    depth = wider.max_depth is None or (
        narrower.max_depth is not None and narrower.max_depth <= wider.max_depth
    )
    issuers = not wider.issuers or (
        bool(narrower.issuers) and set(narrower.issuers) <= set(wider.issuers)
    )
    return depth and issuers and set(wider.required_scope) <= set(narrower.required_scope)


# -- arguments --


def absent(condition: ArgCondition) -> bool:
    """Whether the condition demands that its node is missing."""
    return condition.operator is Operator.EXISTS and condition.operand is False


def allowed_values(conditions: Sequence[ArgCondition]) -> list[Any] | None:
    """The values under `eq` and `in` that meet all conditions on one node; None for no list."""
    listed: list[Any] | None = None
    for condition in conditions:
        if condition.operator is Operator.EQ:
            listed = [condition.operand]
        elif condition.operator is Operator.IN and listed is None:
            listed = list(condition.operand)
    if listed is None:
        return None
    return [value for value in listed if all(_holds(each, value) for each in conditions)]


def _holds(condition: ArgCondition, value: Any) -> bool:
    placed = ArgCondition(path="$.x", operator=condition.operator, operand=condition.operand)
    try:
        return compile_condition(placed)({"x": value})
    except ArgumentError:
        return False


def by_place(conditions: Sequence[ArgCondition]) -> dict[Steps, list[ArgCondition]]:
    """The conditions grouped by node, however their paths are spelt."""
    places: dict[Steps, list[ArgCondition]] = {}
    for condition in conditions:
        places.setdefault(parse_path(condition.path), []).append(condition)
    return places


def _argument_conflict(conditions: Sequence[ArgCondition]) -> str:
    """Why the conditions cannot hold together; empty when that is not proven."""
    places = by_place(conditions)
    for place, conditions_here in places.items():
        if EACH in place:  # different elements may meet its conditions
            continue
        path = conditions_here[0].path
        present = [each for each in conditions_here if not absent(each)]
        if present and len(present) < len(conditions_here):
            return f"`{path}` would have to be missing and there"
        unnamed = _unnamed(place, conditions_here, places)
        if unnamed:
            return f"`{unnamed}` would have to be there, and `only` on `{path}` does not name it"
        below = any(
            len(other) > len(place) and other[: len(place)] == place
            for other, conditions_there in places.items()
            if not all(absent(each) for each in conditions_there)
        )
        if below and any(not _may_hold_members(each) for each in conditions_here):
            return f"`{path}` would have to be one value and hold others"
        if len({_kind(each) for each in present} - {""}) > 1:
            return f"`{path}` would have to be of two types"
        globs = [globs_of(each) for each in present if each.operator is Operator.GLOB]
        if any(globs_disjoint(one, other) for one, other in combinations(globs, 2)):
            return f"no text at `{path}` fits all its globs"
        if allowed_values(present) == []:
            return f"no value of `{path}` fits all its conditions"
        low, high = bounds(present)
        if low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1])):
            return f"no number fits all conditions on `{path}`"
    return ""


def _may_hold_members(condition: ArgCondition) -> bool:
    """Whether the condition can hold of an object with members."""
    if condition.operator is Operator.EXISTS:
        return not absent(condition)
    return condition.operator is Operator.ONLY or names_of_not_only(condition) is not None


def _unnamed(
    place: Steps,
    conditions_here: Sequence[ArgCondition],
    places: dict[Steps, list[ArgCondition]],
) -> str:
    """The path of a condition that demands a member which `only` here excludes; or empty."""
    listed = _lists_of_only(conditions_here)
    if not listed:
        return ""
    names = frozenset.intersection(*listed)
    for other, conditions in places.items():
        if _member_of(place, other) not in (None, *names):
            present = [each for each in conditions if not absent(each)]
            if present:
                return present[0].path
    return ""


def _lists_of_only(conditions: Sequence[ArgCondition]) -> list[frozenset[str]]:
    """The names that each `only` of the conditions lists."""
    return [names for each in conditions if (names := names_of_only(each)) is not None]


def _member_of(place: Steps, inner: Steps) -> Step | None:
    """The first step of a path from a place on to a place inside it; None for one elsewhere."""
    inside = len(inner) > len(place) and inner[: len(place)] == place
    return inner[len(place)] if inside else None


def bounds(conditions: Sequence[ArgCondition]) -> tuple[tuple[float, bool], tuple[float, bool]]:
    """The lowest and highest number that the conditions allow, and whether each is excluded."""
    low: tuple[float, bool] = (float("-inf"), False)
    high: tuple[float, bool] = (float("inf"), False)
    for each in conditions:
        if each.operator in (Operator.GT, Operator.GE):
            low = max(low, (each.operand, each.operator is Operator.GT))
        elif each.operator in (Operator.LT, Operator.LE):
            edge = (each.operand, each.operator is Operator.LT)
            high = min(high, edge, key=lambda one: (one[0], not one[1]))
    return low, high


def _kind(condition: ArgCondition) -> str:
    if condition.operator in (Operator.EXISTS, Operator.NOT):
        return ""
    if condition.operator in ORDERED:
        return "number"
    if condition.operator is Operator.GLOB:
        return "str"
    if condition.operator is Operator.ONLY:
        return "object"
    operand = condition.operand[0] if condition.operator is Operator.IN else condition.operand
    if isinstance(operand, (int, float)) and not isinstance(operand, bool):
        return "number"
    return type(operand).__name__


def _implied(conclusion: ArgCondition, premise: Sequence[ArgCondition]) -> bool:
    """Whether the conclusion holds, or cannot be evaluated, wherever the whole premise holds."""
    steps = parse_path(conclusion.path)
    places = by_place(premise)
    if absent(conclusion):
        return any(
            (steps[: len(place)] == place and any(absent(each) for each in conditions))
            or _excluded(_member_of(place, steps), conditions)
            for place, conditions in places.items()
        )
    there = [each for each in places.get(steps, []) if not absent(each)]
    if conclusion.operator is Operator.EXISTS:
        return bool(there) or any(
            place[: len(steps)] == steps and not all(absent(each) for each in conditions)
            for place, conditions in places.items()
        )
    if any(_same(conclusion, each) for each in there):
        return True
    if (names := names_of_only(conclusion)) is not None:
        return any(listed <= names for listed in _lists_of_only(there))
    if (names := names_of_not_only(conclusion)) is not None:
        return _demands_another(names, steps, there, places)
    values = allowed_values(there)
    if values:
        return all(_holds(conclusion, value) for value in values)
    if conclusion.operator is Operator.GLOB:
        premise_globs = [globs_of(each) for each in there if each.operator is Operator.GLOB]
        return any(globs_cover(globs_of(conclusion), globs) for globs in premise_globs)
    return conclusion.operator in ORDERED and _within(conclusion, there)


def _excluded(step: Step | None, conditions: Sequence[ArgCondition]) -> bool:
    """Whether `only` says that an object has no such member."""
    return step is not None and any(step not in names for names in _lists_of_only(conditions))


def _demands_another(
    names: frozenset[str],
    steps: Steps,
    there: Sequence[ArgCondition],
    places: dict[Steps, list[ArgCondition]],
) -> bool:
    """Whether conditions demand that an object has a member besides these."""
    listed = [other for each in there if (other := names_of_not_only(each)) is not None]
    return any(names <= other for other in listed) or any(
        isinstance(step := _member_of(steps, place), str)
        and step not in names
        and not all(absent(each) for each in conditions)
        for place, conditions in places.items()
    )


def globs_of(condition: ArgCondition) -> Sequence[str]:
    """The globs of a condition by `glob`, of which one must match."""
    globs = condition.operand
    return globs if isinstance(globs, tuple) else (globs,)


def _same(one: ArgCondition, other: ArgCondition) -> bool:
    return one.operator is other.operator and repr(one.operand) == repr(other.operand)


def _within(conclusion: ArgCondition, premise: Sequence[ArgCondition]) -> bool:
    """Whether all numbers that the premise allows meet the conclusion."""
    low, high = bounds(premise)
    want_low, want_high = bounds([conclusion])
    return low >= want_low and (high[0], not high[1]) <= (want_high[0], not want_high[1])
