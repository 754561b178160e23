"""The dispatch ticket: the plane's signed permission to run one attempt, verified offline by the
worker.

Text form: base64url of the canonical JSON, a dot, base64url of an Ed25519 signature (RFC 8032) over
a domain tag and that JSON. The ticket binds the job hash, so that what was decided is what runs.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from forestall.canonical import canonical_struct
from forestall.errors import ForbiddenError
from forestall.limits import TICKET_CHARS_MAX
from forestall.policy.rules import Constraints

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_DOMAIN = b"forestall ticket v1\x00"


class TicketError(ForbiddenError):
    """The ticket is forged, damaged, expired or for something else: do not run."""

    code, http_status = "ticket_invalid", 403


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Permission for one worker to run one attempt of one job until an instant (µs, UTC).

    `decision`, `rule_id` and `snapshot` are those of the dispatch gate; `constraints` bind the run.
    """

    job_id: str
    tenant: str
    topic: str
    job_hash: str
    attempt: int
    worker: str
    snapshot: str
    decision: str
    rule_id: str
    issued_at_us: int
    expires_at_us: int
    constraints: Constraints | None = None


_DECODER = msgspec.json.Decoder(Ticket, strict=True)


def sign_ticket(ticket: Ticket, key: "Ed25519PrivateKey") -> str:
    """The text of a signed ticket."""
    body = canonical_struct(ticket)
    return f"{_encode(body)}.{_encode(key.sign(_DOMAIN + body))}"


def verify_ticket(text: str, keys: "Iterable[Ed25519PublicKey]", *, now_us: int) -> Ticket:
    """The ticket, if one of the keys signed it and it has not expired. Raises TicketError.

    The caller must compare job hash, worker and attempt with the delivered job.
    """
    body_text, _, signature_text = text.partition(".")
    if len(text) > TICKET_CHARS_MAX or not signature_text:
        raise TicketError("the ticket is not one of this control plane")
    try:
        body, signature = _decode(body_text), _decode(signature_text)
    except (binascii.Error, ValueError) as cause:
        raise TicketError("the ticket is not one of this control plane") from cause
    if not any(_is_signed_by(key, body, signature) for key in keys):
        raise TicketError("the ticket is not signed by this control plane")
    try:
        ticket = _DECODER.decode(body)
    except msgspec.DecodeError as cause:
        raise TicketError(
            "the ticket cannot be read; is the worker older than its plane?"
        ) from cause
    if now_us >= ticket.expires_at_us:
        raise TicketError("the ticket has expired; the lease went to nobody, or to another worker")
    return ticket


def _is_signed_by(key: "Ed25519PublicKey", body: bytes, signature: bytes) -> bool:
    # slow to import: only a signature needs it
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, _DOMAIN + body)
    except InvalidSignature:
        return False
    return True


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
