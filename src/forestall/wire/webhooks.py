"""Webhooks ↔ JSON, and the messages that they receive, which hold nothing of a payload."""

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.jobs.job import Job, JobState
from forestall.jobs.webhook import (
    DeliveryMark,
    Format,
    Webhook,
    WebhookEvent,
    WebhookInvalidError,
)
from forestall.ports.log_entry import LogEntry
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct

_EVENTS = {
    "job.approval_demanded": WebhookEvent.ASKED,
    "job.approved": WebhookEvent.APPROVED,
    "job.fulfilled": WebhookEvent.APPROVED,
    "job.rejected": WebhookEvent.REJECTED,
    "job.expired": WebhookEvent.EXPIRED,
    "job.invalidated": WebhookEvent.INVALIDATED,
}
_WORDS = {
    WebhookEvent.ASKED: "Approval asked",
    WebhookEvent.APPROVED: "Approved",
    WebhookEvent.REJECTED: "Rejected",
    WebhookEvent.EXPIRED: "Approval expired",
    WebhookEvent.INVALIDATED: "Approval invalidated",
    WebhookEvent.CANCELLED: "Approval no longer needed",
}
_TEXT_CHARS_MAX = 300  # characters of one value in a Slack message


class WebhookBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /webhooks."""

    name: str | None = None
    url: str | None = None
    events: list[str] | None = None
    format: str | None = None
    link_base: str | None = None
    rotate_secret: bool | None = None


class OpenLinkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /approvals/open."""

    token: str | None = None


class WebhookObject(WireObject, frozen=True):
    """One webhook. `secret` is there once: in the answer to the request that made it."""

    name: str
    host: str
    events: list[WebhookEvent]
    format: Format
    link_base: str
    position: int
    delivered: int
    dead_letters: int
    last_problem: str
    secret: str | UnsetType = UNSET


class OpenedLinkObject(WireObject, frozen=True):
    """The job that a link leads to."""

    job_id: str


class _MoveData(msgspec.Struct, frozen=True):
    state: str = ""
    state_before: str = ""


def decode_webhook(body: bytes) -> tuple[Webhook, bool]:
    """The webhook in a body, and whether it gets a new secret. Raises WebhookInvalidError."""
    request = decode_struct(body, WebhookBody, WebhookInvalidError)
    try:
        events = tuple(dict.fromkeys(map(WebhookEvent, request.events or WebhookEvent)))
        kind = Format(request.format or Format.JSON)
    except ValueError as cause:
        raise WebhookInvalidError(
            f"`events` are of {', '.join(WebhookEvent)}; `format` is json or slack"
        ) from cause
    hook = Webhook(
        name=request.name or "",
        url=request.url or "",
        salt="",
        events=events,
        format=kind,
        link_base=(request.link_base or "").rstrip("/"),
    )
    return hook, bool(request.rotate_secret)


def decode_open(body: bytes) -> str:
    """The token of a link to an approval."""
    request = decode_struct(body, OpenLinkBody, WebhookInvalidError)
    if not request.token:
        raise InvalidRequestError("`token` is required: what stands after `#` in the link")
    return request.token


def webhook_object(
    hook: Webhook, mark: DeliveryMark, *, secret: str | UnsetType = UNSET
) -> WebhookObject:
    """One webhook. Its URL may be a secret (Slack's is), so only the host is included."""
    return WebhookObject.of(
        hook, mark, dead_letters=mark.dead, last_problem=mark.problem, secret=secret
    )


def event_of(entry: LogEntry) -> WebhookEvent | None:
    """The event of a webhook that a record of the log stands for; None for none."""
    event = _EVENTS.get(entry.kind)
    if event is not None or not entry.kind.startswith("job."):
        return event
    moved = msgspec.json.decode(entry.data, type=_MoveData)
    if moved.state == moved.state_before:
        return None
    if moved.state == JobState.APPROVAL_REQUIRED:
        return WebhookEvent.ASKED
    return WebhookEvent.CANCELLED if moved.state_before == JobState.APPROVAL_REQUIRED else None


def message(hook: Webhook, event: WebhookEvent, entry: LogEntry, job: Job, link: str) -> bytes:
    """The message about an event. Raises AssertionError for a job without an approval."""
    approval = job.approval
    assert approval is not None
    by = "" if event is WebhookEvent.ASKED else entry.actor
    changes = approval.changes if event is WebhookEvent.ASKED else ()
    if hook.format is Format.SLACK:
        rows = (
            ("topic", job.topic),
            ("why", approval.reason),
            ("rule", approval.rule_id),
            ("asked by", approval.requester),
            ("by", by),
            ("asked again", "; ".join(changes)),
            ("job", job.id),
            ("job hash", approval.job_hash),
        )
        lines = [f"{_WORDS[event]}", *(f"{name}: {_quoted(text)}" for name, text in rows if text)]
        if link:
            lines.append(f"<{link}>")
        return msgspec.json.encode({"text": "\n".join(lines)})
    body = {
        "id": f"evt-{entry.position}",
        "event": event.value,
        "at": iso_time(entry.at_us),
        "tenant": job.tenant,
        "job_id": job.id,
        "job_hash": approval.job_hash,
        "topic": job.topic,
        "reason": approval.reason,
        "rule_id": approval.rule_id,
        "requester": approval.requester,
        "actor": by,
        "expires_at": iso_time(approval.expires_at_us),
        "link": link,
    }
    if changes:
        body["changes"] = "; ".join(changes)
    return msgspec.json.encode(body)


def _quoted(text: str) -> str:
    """The text as code, in which Slack reads neither a mention nor a link, and which cannot imitate
    a line of ours."""
    visible = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    visible = visible[:_TEXT_CHARS_MAX].replace("`", "'")
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        visible = visible.replace(char, entity)
    return f"`{visible}`"
