"""Spellings of the peer, Cordum, added beside ours for its published clients.

No other file adds such a spelling, and every client gets the same shape.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from forestall.jobs.approval import ApprovalStatus
from forestall.policy.rules import Constraints, Effect, Remediation
from forestall.wire.objects import WireObject

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

# Statuses of approvals for which the peer has no word of its own.
_STATUS_WORD = {
    ApprovalStatus.CONSUMED: "approved",
    ApprovalStatus.CANCELLED: "invalidated",
}

DecisionWord = Literal["ALLOW", "ALLOW_WITH_CONSTRAINTS", "THROTTLE", "REQUIRE_APPROVAL", "DENY"]
DecisionType = Literal[
    "DECISION_TYPE_ALLOW",
    "DECISION_TYPE_ALLOW_WITH_CONSTRAINTS",
    "DECISION_TYPE_THROTTLE",
    "DECISION_TYPE_REQUIRE_HUMAN",
    "DECISION_TYPE_DENY",
]


def status_word(status: ApprovalStatus) -> str:
    """The word of the wire contract for the status of an approval."""
    return _STATUS_WORD.get(status, status.value)


class BudgetsObject(WireObject, frozen=True):
    """What a job may use."""

    max_runtime_ms: int | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    max_artifact_bytes: int | UnsetType = UNSET
    max_concurrent_jobs: int | UnsetType = UNSET
    max_runtime_ms_camel: int | UnsetType = field(default=UNSET, name="maxRuntimeMs")
    max_retries_camel: int | UnsetType = field(default=UNSET, name="maxRetries")
    max_artifact_bytes_camel: int | UnsetType = field(default=UNSET, name="maxArtifactBytes")
    max_concurrent_jobs_camel: int | UnsetType = field(default=UNSET, name="maxConcurrentJobs")


class SandboxObject(WireObject, frozen=True):
    """Where a job may run, and what it may reach."""

    isolated: bool | UnsetType = UNSET
    network_allowlist: list[str] | UnsetType = UNSET
    fs_read_only: list[str] | UnsetType = UNSET
    fs_read_write: list[str] | UnsetType = UNSET
    network_allowlist_camel: list[str] | UnsetType = field(default=UNSET, name="networkAllowlist")
    fs_read_only_camel: list[str] | UnsetType = field(default=UNSET, name="fsReadOnly")
    fs_read_write_camel: list[str] | UnsetType = field(default=UNSET, name="fsReadWrite")


class ToolchainObject(WireObject, frozen=True):
    """What a job may call."""

    allowed_tools: list[str] | UnsetType = UNSET
    allowed_commands: list[str] | UnsetType = UNSET
    allowed_tools_camel: list[str] | UnsetType = field(default=UNSET, name="allowedTools")
    allowed_commands_camel: list[str] | UnsetType = field(default=UNSET, name="allowedCommands")


class DiffLimitsObject(WireObject, frozen=True):
    """How much a job may change."""

    max_files: int | UnsetType = UNSET
    max_lines: int | UnsetType = UNSET
    deny_path_globs: list[str] | UnsetType = UNSET
    max_files_camel: int | UnsetType = field(default=UNSET, name="maxFiles")
    max_lines_camel: int | UnsetType = field(default=UNSET, name="maxLines")
    deny_path_globs_camel: list[str] | UnsetType = field(default=UNSET, name="denyPathGlobs")


class ConstraintsObject(WireObject, frozen=True):
    """Constraints as answers show them; a group that binds nothing is left out."""

    budgets: BudgetsObject | UnsetType = UNSET
    sandbox: SandboxObject | UnsetType = UNSET
    toolchain: ToolchainObject | UnsetType = UNSET
    diff: DiffLimitsObject | UnsetType = UNSET
    redaction_level: str | UnsetType = UNSET
    redaction_level_camel: str | UnsetType = field(default=UNSET, name="redactionLevel")


class RemediationObject(WireObject, frozen=True):
    """A remediation; every field is there, in both spellings."""

    id: str
    title: str
    summary: str
    replacement_topic: str
    replacement_capability: str
    add_labels: dict[str, str]
    remove_labels: list[str]
    replacement_topic_camel: str = field(name="replacementTopic")
    replacement_capability_camel: str = field(name="replacementCapability")
    add_labels_camel: dict[str, str] = field(name="addLabels")
    remove_labels_camel: list[str] = field(name="removeLabels")


def iso_time(at_us: int) -> str:
    """RFC 3339 in UTC with microseconds: `2026-06-01T12:00:00.000000Z`."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso_time_or_none(at_us: int | None) -> str:
    """As `iso_time`; empty where there is no such instant."""
    return iso_time(at_us) if at_us else ""


def constraints_object(constraints: Constraints | None) -> ConstraintsObject | None:
    """Constraints in snake_case; each group that binds something also in camelCase."""
    if constraints is None:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(constraints)
    return msgspec.convert({**plain, **_camel_keys(plain)}, ConstraintsObject)


def remediation_objects(remediations: tuple[Remediation, ...]) -> list[RemediationObject]:
    """Remediations with every field present, in both spellings. Never null."""
    return [
        RemediationObject.of(
            each,
            replacement_topic_camel=each.replacement_topic,
            replacement_capability_camel=each.replacement_capability,
            add_labels_camel=each.add_labels,
            remove_labels_camel=each.remove_labels,
        )
        for each in remediations
    ]


def _camel_keys(value: dict[str, Any]) -> dict[str, Any]:
    return {
        _camel(key): {**item, **_camel_keys(item)} if isinstance(item, dict) else item
        for key, item in value.items()
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
