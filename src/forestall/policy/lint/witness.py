"""Make a request that a rule matches from the rule alone: the witness behind a warning.

For some rules (with a pattern, say) no request can be made; then no warning rests on one.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import msgspec

from forestall.facts.origin import Origin
from forestall.policy.arguments import (
    ArgumentError,
    Steps,
    names_of_not_only,
    names_of_only,
)
from forestall.policy.calendar import compile_time
from forestall.policy.fields import FIELDS, FieldKind
from forestall.policy.lint.globs import example
from forestall.policy.lint.implication import absent, allowed_values, bounds, by_place, globs_of
from forestall.policy.request import Delegation, Request, ToolCall
from forestall.policy.rule_conditions import rule_clauses
from forestall.policy.rules import ArgCondition, Match, Operator, Rule, TimeMatch
from forestall.policy.snapshot import Snapshot

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_ALWAYS_THERE = {"topics": ("job.x",), "tenants": ("default",)}  # in each request
_WEEK_MINUTES = 7 * 24 * 60
_SECRET = "secret://example"  # noqa: S105 - a reference, as `secrets_present` looks for


class Sample(NamedTuple):
    """A request, an instant, and the one label view under which the request is examined."""

    request: Request
    labels: dict[str, str]
    now: datetime


def sample_of(snapshot: Snapshot, rule: Rule) -> Sample | None:
    """A request of which every clause of the rule holds; None when none was found."""
    sample = fields_sample(snapshot, rule.match)
    arguments = _arguments(rule.match.args)
    if sample is None or arguments is None:
        return None
    if rule.match.secrets_present:
        arguments["example_secret"] = _SECRET
    # `only` of the whole document holds of no arguments, and not where there are none.
    given = arguments or ({} if any(each.path == "$" for each in rule.match.args) else None)
    replaced = msgspec.structs.replace(sample.request, args=given)
    sample = Sample(replaced, sample.labels, _instant(rule.match.time))
    try:
        holds = all(each.holds(*sample) for each in rule_clauses(rule))
    except ArgumentError:
        return None
    return sample if holds else None


def fields_sample(snapshot: Snapshot, match: Match) -> Sample | None:
    """A request that meets the fields and labels of a match and has no other facts."""
    texts: dict[str, Any] = {}
    for field in FIELDS:
        if field.kind is FieldKind.GLOB:
            globs = field.wanted(match) or _ALWAYS_THERE.get(field.name, ())
            value = _first_example(globs, topic=field.name == "topics") if globs else ""
            if value is None:
                return None
            texts[field.attribute] = value
    call = {part: texts.pop(f"mcp.{part}") for part in ToolCall.__struct_fields__}
    labels: dict[str, str] = {}
    for name, globs in match.labels:
        value = _first_example(globs)
        if value is None:
            return None
        labels[name] = value
    trust = snapshot.label_trust
    request = Request(
        **texts,
        mcp=ToolCall(**call),
        actor_type=(match.actor_types or ("",))[0],
        agent_risk_tier=(match.agent_risk_tiers or ("",))[0],
        agent_data_classes=match.agent_data_classes[:1],
        risk_tags=match.risk_tags[:1],
        requires=match.requires,
        delegation=_delegation(match),
        labels={k: v for k, v in labels.items() if trust.get(k, Origin.CLAIMED) == Origin.CLAIMED},
        server_labels={k: v for k, v in labels.items() if trust.get(k, Origin.CLAIMED) > 0},
        payload={"prompt": "", "context": None},
    )
    return Sample(request, labels, NOON)


def _first_example(globs: tuple[str, ...], *, topic: bool = False) -> str | None:
    return next((text for glob in globs if (text := example(glob, topic=topic)) is not None), None)


def _delegation(match: Match) -> Delegation | None:
    demanded = match.delegation
    if demanded is None or demanded.forbid_delegated:
        return None
    return Delegation(
        depth=1 if demanded.max_depth is None else min(1, demanded.max_depth),
        issuers=demanded.issuers[:1],
        scope=demanded.required_scope,
    )


@lru_cache(maxsize=256)
def _instant(match: TimeMatch | None) -> datetime:
    """An instant inside the days and hours of the match."""
    if match is None:
        return NOON
    inside = compile_time(match)
    for minutes in (30, 1):
        for offset in range(0, _WEEK_MINUTES, minutes):
            now = NOON + timedelta(minutes=offset)
            if inside(now):
                return now
    return NOON


# -- arguments --


def _arguments(conditions: tuple[ArgCondition, ...]) -> dict[str, Any] | None:
    """A document that meets the conditions; None when none was found."""
    document: dict[str, Any] = {}
    for steps, conditions_here in by_place(conditions).items():
        if not _put_example(document, steps, conditions_here):
            return None
    return document


def _put_example(document: dict[str, Any], steps: Steps, conditions: list[ArgCondition]) -> bool:
    """Put a value that meets the conditions on one node into the document; False if impossible."""
    if any(absent(each) for each in conditions):
        return True
    if any(names_of_only(each) is not None for each in conditions):
        return _at_object(document, steps) is not None  # an empty object, or what is there
    besides = [names for each in conditions if (names := names_of_not_only(each)) is not None]
    if besides:
        return _put(document, (*steps, _other_name(frozenset().union(*besides))), "x")
    value = _value(conditions)
    return value is not None and _put(document, steps, value)


def _value(conditions: list[ArgCondition]) -> Any:
    """One value that may meet all conditions on a node."""
    values = allowed_values(conditions)
    if values is not None:
        return values[0] if values else None
    for each in conditions:
        if each.operator is Operator.GLOB:
            return example(globs_of(each)[0])
        if each.operator is Operator.MATCHES:
            return None
    (low, low_out), (high, high_out) = bounds(conditions)
    if low != float("-inf"):
        return (low + min(high, low + 2)) / 2 if low_out or high_out else low
    return high - 1 if high != float("inf") else "x"


def _other_name(names: frozenset[str]) -> str:
    """A name of a member that is none of these."""
    return next(name for number in count(1) if (name := f"other{number}") not in names)


def _put(document: dict[str, Any], steps: Steps, value: Any) -> bool:
    """Put a value at a path. Paths through lists are not supported."""
    place = _at_object(document, steps[:-1])
    last = steps[-1]
    if place is None or not isinstance(last, str) or last in place:
        return False
    place[last] = value
    return True


def _at_object(document: dict[str, Any], steps: Steps) -> dict[str, Any] | None:
    """The object at a path, made where it is missing; None where no object can be."""
    place = document
    for step in steps:
        following = place.setdefault(step, {}) if isinstance(step, str) else None
        if not isinstance(following, dict):
            return None
        place = following
    return place
