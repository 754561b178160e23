"""Declare, list and remove webhooks; open the link of a message; record deliveries.

Each verb is one commit with its record. No record holds a URL, a secret or a token.
"""

import msgspec

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.registry_entries import commit_entries
from forestall.errors import ConflictError, NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.webhook import (
    ApprovalLink,
    DeclaredWebhook,
    DeliveryMark,
    Webhook,
    WebhookInvalidError,
    problem_of_webhook,
    token_hash,
)
from forestall.limits import LINKS_MAX, WEBHOOKS_MAX, WEBHOOKS_PER_TENANT_MAX
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import EntryKind, RegistryEntry, entry_after
from forestall.ports.store import PreconditionFailedError

_TRIES = 16  # the mark may move at the same instant, and the removal must expect the new one
_SWEPT_AT_ONCE = 200


class WebhookNotFoundError(NotFoundError):
    """No webhook of this tenant has this name."""

    code, http_status = "webhook_not_found", 404


class WebhooksFullError(ConflictError):
    """The tenant, or the server, has as many webhooks as it may have; end one first."""

    code, http_status = "webhooks_full", 409


class LinkNotFoundError(NotFoundError):
    """No message of your tenant holds this link, it was used, or its approval has expired."""

    code, http_status = "approval_link_not_found", 404


def secret_of(plane: Plane, tenant: str, hook: Webhook) -> str:
    """The secret that signs messages to a webhook; it is derived, never stored."""
    return "whsec_" + plane.signer.secret(f"webhook\0{tenant}\0{hook.name}\0{hook.salt}")


async def declare_webhook(
    plane: Plane, subject: Subject, declared: Webhook, *, rotate: bool = False
) -> DeclaredWebhook:
    """Create or replace a webhook. A new one is sent events from now on; `rotate` gives an existing
    one a new secret.

    Raises WebhookInvalidError, WebhooksFullError, PreconditionFailedError.
    """
    # load
    name = (subject.tenant, declared.name)
    current, mark = plane.webhooks.webhook(*name), plane.webhooks.mark(*name)
    # decide
    problem = problem_of_webhook(declared, plane.webhooks.reach)
    if problem:
        raise WebhookInvalidError(problem)
    if current is None:
        count_of_tenant = len(plane.webhooks.of_tenant(subject.tenant))
        if count_of_tenant >= WEBHOOKS_PER_TENANT_MAX or len(plane.webhooks) >= WEBHOOKS_MAX:
            raise WebhooksFullError(
                f"a tenant has at most {WEBHOOKS_PER_TENANT_MAX} webhooks and a server"
                f" {WEBHOOKS_MAX}; end one first"
            )
    # The secret of a webhook is derived from its salt, so a new salt is a new secret.
    has_new_secret = current is None or rotate
    earlier_salt = current.value.salt if current is not None else ""
    salt = plane.random.token(16).hex() if has_new_secret else earlier_salt
    hook = msgspec.structs.replace(declared, salt=salt)
    before = current.entry if current is not None else None
    entries = [_entry(plane, before, subject.tenant, EntryKind.WEBHOOK, hook.name, hook)]
    if mark is None:
        start = DeliveryMark(name=hook.name, position=await plane.store.log_end())
        entries.append(
            _entry(plane, None, subject.tenant, EntryKind.WEBHOOK_MARK, hook.name, start)
        )
    data: dict[str, Value] = {
        "name": hook.name,
        "host": hook.host,
        "events": tuple(hook.events),
        "format": hook.format.value,
        "new_secret": has_new_secret,
    }
    # commit
    await commit_entries(
        plane,
        "webhook.created" if current is None else "webhook.changed",
        subject.tenant,
        subject.principal,
        data,
        puts=entries,
    )
    # announce: the secret is in this answer only
    secret = secret_of(plane, subject.tenant, hook) if has_new_secret else ""
    new_mark = plane.webhooks.mark(*name)
    assert new_mark is not None, "a webhook and its mark are declared together"
    return DeclaredWebhook(hook, new_mark.value, current is None, secret)


async def end_webhook(plane: Plane, subject: Subject, name: str) -> None:
    """Remove a webhook; events that were not sent to it yet are not sent. Raises
    WebhookNotFoundError."""
    for attempt in range(_TRIES):
        # load
        current = plane.webhooks.webhook(subject.tenant, name)
        if current is None:
            raise WebhookNotFoundError(f"there is no webhook `{name[:80]}`")
        # decide
        mark = plane.webhooks.mark(subject.tenant, name)
        drops = [current.entry, *([mark.entry] if mark is not None else [])]
        data: dict[str, Value] = {"name": name, "host": current.value.host}
        # commit, and announce: the deliverer sees that the webhook is gone
        try:
            await commit_entries(
                plane, "webhook.removed", subject.tenant, subject.principal, data, drops=drops
            )
        except PreconditionFailedError:
            if attempt == _TRIES - 1:
                raise
        else:
            return


async def move_mark(
    plane: Plane,
    tenant: str,
    mark: DeliveryMark,
    outcome: str,
    data: dict[str, Value],
    *,
    job_id: str = "",
) -> None:
    """Move the mark of a webhook, with a record of why (`webhook.<outcome>`). Raises
    StoreUnavailableError, and WebhookNotFoundError when the webhook was removed or changed
    meanwhile; the mark stays then."""
    # load
    name = (tenant, mark.name)
    hook, before = plane.webhooks.webhook(*name), plane.webhooks.mark(*name)
    if hook is None or before is None:
        raise WebhookNotFoundError("the webhook was ended")
    # decide
    entry = _entry(plane, before.entry, tenant, EntryKind.WEBHOOK_MARK, mark.name, mark)
    # commit, and announce
    try:
        await commit_entries(
            plane,
            f"webhook.{outcome}",
            tenant,
            SYSTEM_ACTOR,
            {"name": mark.name, **data},
            puts=[entry],
            job_id=job_id,
            expect=(EntryUnchanged.of(hook.entry),),
        )
    except PreconditionFailedError as cause:
        raise WebhookNotFoundError("the webhook was changed at this very moment") from cause


async def make_link(plane: Plane, tenant: str, link: ApprovalLink) -> str:
    """Make a token that opens an approval once; empty when LINKS_MAX links are open already."""
    # load and decide
    if plane.webhooks.link_count() >= LINKS_MAX:
        return ""
    token = plane.random.token(32).hex()
    entry = _entry(plane, None, tenant, EntryKind.APPROVAL_LINK, token_hash(token), link)
    data: dict[str, Value] = {"webhook": link.webhook, "expires_at_us": link.expires_at_us}
    # commit, and announce: the token goes into one message; only its hash is stored
    await commit_entries(
        plane, "link.created", tenant, SYSTEM_ACTOR, data, puts=[entry], job_id=link.job_id
    )
    return token


async def open_link(plane: Plane, subject: Subject, token: str) -> str:
    """The id of the job that a link leads to; this spends the link. Raises LinkNotFoundError."""
    # load
    link = plane.webhooks.link(subject.tenant, token_hash(token))
    # decide
    if link is None or plane.clock.now_us() >= link.value.expires_at_us:
        raise LinkNotFoundError("this link was used, has expired, or never was; list approvals")
    data: dict[str, Value] = {"webhook": link.value.webhook, "key_id": subject.key_id}
    job_id = link.value.job_id
    # commit, and announce
    try:
        await commit_entries(
            plane,
            "link.opened",
            subject.tenant,
            subject.principal,
            data,
            drops=[link.entry],
            job_id=job_id,
        )
    except PreconditionFailedError as cause:
        raise LinkNotFoundError("this link was used at this very moment") from cause
    return job_id


async def sweep_links(plane: Plane) -> int:
    """Remove links whose approvals have expired, a bounded number for each tenant. Returns how many
    were removed."""
    # load and decide
    now_us = plane.clock.now_us()
    expired: dict[str, list[RegistryEntry]] = {}  # by tenant
    for (tenant, _), link in plane.webhooks.links():
        if now_us >= link.value.expires_at_us:
            of_tenant = expired.setdefault(tenant, [])
            if len(of_tenant) < _SWEPT_AT_ONCE:
                of_tenant.append(link.entry)
    for tenant, drops in expired.items():
        data: dict[str, Value] = {"links": len(drops)}
        # commit, and announce
        await commit_entries(plane, "link.expired", tenant, SYSTEM_ACTOR, data, drops=drops)
    return sum(map(len, expired.values()))


def _entry(
    plane: Plane,
    before: RegistryEntry | None,
    tenant: str,
    kind: EntryKind,
    name: str,
    value: msgspec.Struct,
) -> RegistryEntry:
    now_us = plane.clock.now_us()
    return entry_after(before, tenant, kind, name, value, now_us=now_us)
