"""Every kind of record in the log: its meaning, and the fields of its `data`.

The page for auditors is generated from this table, and tests compare every written record with it.
The table decides nothing: no record is refused because its kind is missing here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

# Groups of fields that several kinds share, by their name in the documentation.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "decision": (
            *("stage", "decision", "code", "rule_id", "matched_rules", "reason", "snapshot"),
            *("job_hash", "topic", "facts", "label_conflicts", "registry"),
        ),
        "move": (
            *("state_before", "state", "revision", "attempt", "job_hash", "topic"),
            *("failure_code", "failure_reason", "result_digest", "result_bytes"),
        ),
        "verdict": (
            *("verdict", "verdict_code", "output_rule_id", "output_reason", "output_snapshot"),
            *("findings", "original_digest", "original_bytes", "check_us"),
        ),
        "vote": (
            *("approver", "approver_key_id", "approver_roles", "saw_hash", "vote_reason", "note"),
            *("snapshot", "rule_id", "votes"),
        ),
    }
)


class RecordKind(NamedTuple):
    """One kind of record. A field without a value is left out of `data`."""

    meaning: str
    groups: tuple[str, ...] = ()
    own: tuple[str, ...] = ()  # fields in addition to those of the groups

    @property
    def fields(self) -> frozenset[str]:
        """Every field that `data` may have."""
        shared = (field for group in self.groups for field in GROUPS[group])
        return frozenset((*self.own, *shared))


_TOPIC = (
    *("name", "revision", "pool", "input_schema_id", "output_schema_id", "pack_id"),
    *("requires", "risk_tags", "status"),
)
_POOL = ("name", "revision", "description", "requires", "status", "drained_at_us")
_SCHEMA = ("name", "revision", "digest", "size_bytes")
_WEBHOOK = ("name", "host", "events", "format", "new_secret")
_TENANT = ("name", "revision", "key_id")
_AGENT_NAME = ("name", "agent_id", "revision")
_AGENT = (
    *_AGENT_NAME,
    *("risk_tier", "owner", "team", "purpose", "description", "workspace"),
    *("data_classifications", "allowed_topics", "allowed_capabilities", "allowed_pools"),
    *("allowed_servers", "allowed_tools", "allowed_resources"),
    *("status", "status_reason", "status_changed_at_us", "expires_at_us"),
)
_MESSAGE = ("name", "event", "at_position", "tries")

_JOBS = {
    "job.submitted": RecordKind(
        "a job was decided and stored",
        ("decision",),
        (
            *("state", "capability", "key_id", "agent_id"),
            *("parent_job_id", "remediation_id", "blind_retry_of"),
        ),
    ),
    "job.dispatched": RecordKind(
        "the dispatch gate allowed the job, and a worker holds its lease",
        ("move", "decision"),
        ("worker",),
    ),
    "job.held": RecordKind(
        "the dispatch gate throttled the job; it waits for an instant", ("move", "decision")
    ),
    "job.denied": RecordKind(
        "the policy in force at dispatch, or at a repair, denied the job",
        ("move", "decision"),
        ("drift",),
    ),
    "job.approval_demanded": RecordKind(
        "the policy in force at dispatch, or at a repair, wants a person; `drift` says what changed"
        " since people were asked before",
        ("move", "decision"),
        ("drift",),
    ),
    "job.voted": RecordKind("a person approved, and more are demanded", ("move", "vote")),
    "job.approved": RecordKind("the last person that was demanded approved", ("move", "vote")),
    "job.fulfilled": RecordKind(
        "the job was approved, and whoever asked does the work", ("move", "vote")
    ),
    "job.rejected": RecordKind("a person rejected the job", ("move", "vote")),
    "job.expired": RecordKind("nobody decided in time", ("move",)),
    "job.invalidated": RecordKind(
        "what was asked is not what would run; the approval is undone", ("move",), ("drift",)
    ),
    "job.rebound": RecordKind(
        "a policy came into force that asks the same of people; the approval, which nobody has"
        " answered, is bound to it (`snapshot_before`: to which it was)",
        ("move", "decision"),
        ("snapshot_before",),
    ),
    "job.cleared": RecordKind(
        "asked again at a repair; the policy in force allows or throttles the job",
        ("move", "decision"),
        ("drift",),
    ),
    "job.started": RecordKind("the worker said that it began", ("move",)),
    "job.succeeded": RecordKind(
        "the worker answered, and its result may be read", ("move", "verdict")
    ),
    "job.quarantined": RecordKind(
        "the worker answered, and its result is withheld", ("move", "verdict")
    ),
    "job.released": RecordKind(
        "a second person made a withheld result readable",
        ("move",),
        ("mode", "original_salt", "key_id", "release_reason", "original_digest"),
    ),
    "job.confirmed": RecordKind(
        "a second person discarded a withheld result",
        ("move",),
        ("key_id", "release_reason", "original_digest"),
    ),
    "job.failed": RecordKind(
        "the last attempt failed, or rules throttled the job for too long", ("move", "decision")
    ),
    "job.retried": RecordKind("an attempt ended without its effect; it runs again", ("move",)),
    "job.returned": RecordKind("nobody began the dispatched job; it is queued again", ("move",)),
    "job.timed_out": RecordKind("the deadline or the run time passed", ("move",)),
    "job.lost": RecordKind("the worker fell silent; nobody knows what was done", ("move",)),
    "job.cancelled": RecordKind("somebody cancelled the job", ("move",)),
    "job.dismissed": RecordKind(
        "somebody took the job off the dead letters", ("move",), ("retried_as",)
    ),
}

_OTHERS = {
    "action.checked": RecordKind(
        "a caller asked for a binding decision, or a submit was throttled",
        ("decision",),
        ("capability", "key_id", "agent_id"),
    ),
    "output.checked": RecordKind(
        "a caller had a content looked at that it releases or withholds itself",
        ("verdict",),
        ("topic", "key_id"),
    ),
    "output.refused": RecordKind(
        "a release or discard of a result was refused", (), ("what", "code", "state", "key_id")
    ),
    "output.purged": RecordKind(
        "a sealed original was removed after its time", (), ("checked_at_us",)
    ),
    "approval.joined": RecordKind(
        "an identical request shares the approval of this job, as its requester asked",
        ("decision",),
        ("key_id",),
    ),
    "approval.refused": RecordKind(
        "an approval or rejection was refused", (), ("what", "code", "state")
    ),
    "worker.refused": RecordKind(
        "what a worker said was refused; nothing was changed",
        (),
        ("what", "code", "key_id", "named", "state", "attempt"),
    ),
    "key.created": RecordKind(
        "a key came into being",
        (),
        (
            *("key_id", "name", "role", "principal", "expires_at_us", "agent_id"),
            *("labels", "attests"),
        ),
    ),
    "key.revoked": RecordKind("a key stopped working", (), ("key_id", "name")),
    "tenant.created": RecordKind(
        "a tenant was made while the server ran", (), (*_TENANT, "description")
    ),
    "tenant.suspended": RecordKind(
        "a tenant was suspended: its keys are refused, and what ran of it was cancelled",
        (),
        (*_TENANT, "reason"),
    ),
    "tenant.resumed": RecordKind("a suspended tenant may go on", (), _TENANT),
    "agent.created": RecordKind("an agent was registered", (), _AGENT),
    "agent.changed": RecordKind("an agent was changed; every field as it is now", (), _AGENT),
    "agent.suspended": RecordKind(
        "an agent may not act until it is resumed", (), (*_AGENT_NAME, "status_reason")
    ),
    "agent.resumed": RecordKind(
        "a suspended agent may act again", (), (*_AGENT_NAME, "status_reason")
    ),
    "agent.revoked": RecordKind(
        "an agent was ended for good, with these keys and workers",
        (),
        (*_AGENT_NAME, "status_reason", "keys", "workers"),
    ),
    "policy.kept": RecordKind(
        "the content of a policy was kept under its digest",
        (),
        ("snapshot", "rules", "bundles"),
    ),
    "policy.activated": RecordKind(
        "a policy came into force; a start under the same policy writes none",
        (),
        ("snapshot", "snapshot_before", "rules", "bundles"),
    ),
    "policy.refused": RecordKind(
        "a changed policy did not load; the one in force stayed", (), ("problem", "snapshot")
    ),
    "topic.created": RecordKind("a topic was declared", (), _TOPIC),
    "topic.changed": RecordKind("a topic was declared anew", (), _TOPIC),
    "topic.removed": RecordKind("a topic was ended", (), ("name", "revision", "topics_left")),
    "pool.created": RecordKind("a pool of workers was created", (), _POOL),
    "pool.changed": RecordKind("a pool was changed or drained", (), _POOL),
    "pool.removed": RecordKind(
        "a pool was ended", (), ("name", "revision", "forced", "topics", "workers")
    ),
    "schema.created": RecordKind("an input schema was added", (), _SCHEMA),
    "schema.changed": RecordKind("an input schema was replaced", (), _SCHEMA),
    "schema.removed": RecordKind("an input schema was ended", (), ("name", "revision")),
    "webhook.created": RecordKind("a webhook was declared", (), _WEBHOOK),
    "webhook.changed": RecordKind("a webhook was changed", (), _WEBHOOK),
    "webhook.removed": RecordKind("a webhook was ended", (), ("name", "host")),
    "webhook.delivered": RecordKind("a webhook took a message", (), _MESSAGE),
    "webhook.dead_lettered": RecordKind(
        "a message to a webhook was given up", (), (*_MESSAGE, "problem")
    ),
    "webhook.advanced": RecordKind(
        "a webhook has read far into the log and found nothing to tell", (), ("name",)
    ),
    "link.created": RecordKind(
        "a link to an approval was put into a message", (), ("webhook", "expires_at_us")
    ),
    "link.opened": RecordKind("a link was used, which ends it", (), ("webhook", "key_id")),
    "link.expired": RecordKind("links of expired approvals were forgotten", (), ("links",)),
}

KINDS: Mapping[str, RecordKind] = MappingProxyType({**_JOBS, **_OTHERS})
