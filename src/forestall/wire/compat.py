"""Spellings of the peer, Cordum, added beside ours for its published clients.

No other file adds such a spelling, and every client gets the same shape.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from forestall.policy.rules import Constraints, Effect, Remediation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Capitals without a prefix: a published guard compares these words, and runs on any other word.
DECISION_WORD: Mapping[Effect, str] = {effect: effect.value.upper() for effect in Effect}
DECISION_TYPE: Mapping[Effect, str] = {
    Effect.ALLOW: "DECISION_TYPE_ALLOW",
    Effect.ALLOW_WITH_CONSTRAINTS: "DECISION_TYPE_ALLOW_WITH_CONSTRAINTS",
    Effect.THROTTLE: "DECISION_TYPE_THROTTLE",
    Effect.REQUIRE_APPROVAL: "DECISION_TYPE_REQUIRE_HUMAN",
    Effect.DENY: "DECISION_TYPE_DENY",
}


def iso_time(at_us: int) -> str:
    """RFC 3339 in UTC with microseconds: `2026-06-01T12:00:00.000000Z`."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def constraints_object(constraints: Constraints | None) -> dict[str, Any] | None:
    """Constraints in snake_case; each group that binds something also in camelCase."""
    if constraints is None:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(constraints)
    return {**plain, **_camel_keys(plain)}


def remediation_objects(remediations: tuple[Remediation, ...]) -> list[dict[str, Any]]:
    """Remediations with every field present, in both spellings. Never null."""
    objects = []
    for remediation in remediations:
        plain: dict[str, Any] = {
            "id": remediation.id,
            "title": remediation.title,
            "summary": remediation.summary,
            "replacement_topic": remediation.replacement_topic,
            "replacement_capability": remediation.replacement_capability,
            "add_labels": dict(remediation.add_labels),
            "remove_labels": list(remediation.remove_labels),
        }
        objects.append({**plain, **{_camel(key): value for key, value in plain.items()}})
    return objects


def _camel_keys(value: dict[str, Any]) -> dict[str, Any]:
    return {
        _camel(key): {**item, **_camel_keys(item)} if isinstance(item, dict) else item
        for key, item in value.items()
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
