"""Log entries → events of a stream: one JSON object for both framings.

Beside our fields, an event about a job has those of the peer's packet, as far as the record holds
them. Texts of positions, and of keys in a sub-protocol, are parsed here too.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from forestall.errors import InvalidRequestError
from forestall.jobs.job import JobState
from forestall.jobs.lifecycle import TERMINAL
from forestall.limits import INTEGER_MAX
from forestall.ports.log_entry import LogEntry
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject

SUBPROTOCOL = "cordum-api-key"
_SENDER = "forestall"
_encode = msgspec.json.Encoder().encode


class StreamPositionError(InvalidRequestError):
    """The position to resume from is no number, or beyond the end of the log."""

    code, http_status = "stream_position_invalid", 400


class PacketObject(WireObject, frozen=True):
    """What one of jobRequest, jobProgress and jobResult holds."""

    job_id: str = field(name="jobId")
    topic: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    error_message: str | UnsetType = field(default=UNSET, name="errorMessage")


class EventObject(WireObject, frozen=True):
    """One event of a stream; those of jobs have one of the last three fields."""

    position: int
    event: str
    kind: str
    at_us: int
    tenant: str
    actor: str
    job_id: str
    data: Any
    sender_id: str | UnsetType = field(default=UNSET, name="senderId")
    created_at: str | UnsetType = field(default=UNSET, name="createdAt")
    protocol_version: int | UnsetType = field(default=UNSET, name="protocolVersion")
    job_request: PacketObject | UnsetType = field(default=UNSET, name="jobRequest")
    job_progress: PacketObject | UnsetType = field(default=UNSET, name="jobProgress")
    job_result: PacketObject | UnsetType = field(default=UNSET, name="jobResult")


class _Facts(msgspec.Struct, frozen=True):
    """The data of a job's record for which the peer has a field."""

    state: str = ""
    topic: str = ""
    reason: str = ""
    failure_reason: str = ""


_decode_facts = msgspec.json.Decoder(_Facts).decode


def event_object(entry: LogEntry) -> EventObject:
    """One record without its salt, with its position and the name of the event."""
    packet = _packet(entry) if entry.kind.startswith("job.") else {}
    return EventObject.of(entry, event=entry.visibility.event, **packet)


def _packet(entry: LogEntry) -> dict[str, Any]:
    """The peer's packet about a job: exactly one of jobRequest, jobProgress and jobResult."""
    facts = _decode_facts(entry.data)
    packet: dict[str, Any] = {
        "sender_id": _SENDER,
        "created_at": iso_time(entry.at_us),
        "protocol_version": 1,
    }
    if facts.state in TERMINAL:
        why = facts.failure_reason or facts.reason
        result = PacketObject(
            entry.job_id,
            status=f"JOB_STATUS_{facts.state}",
            error_message=why if why and facts.state != JobState.SUCCEEDED else UNSET,
        )
        return {**packet, "job_result": result}
    if entry.kind == "job.submitted":
        return {**packet, "job_request": PacketObject(entry.job_id, topic=facts.topic)}
    return {**packet, "job_progress": PacketObject(entry.job_id, message=facts.state)}


def event_texts(entries: Iterable[LogEntry]) -> tuple[str, ...]:
    """Events as the text frames of a WebSocket."""
    return tuple(_encode(event_object(entry)).decode() for entry in entries)


def event_blocks(entries: Iterable[LogEntry]) -> bytes:
    """Events as the blocks of an event stream. JSON has no raw line break: a block is one line."""
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n"
        % (entry.position, entry.visibility.event.encode(), _encode(event_object(entry)))
        for entry in entries
    )


def parse_position(text: str, what: str) -> int:
    """A position of the log in a client's request. Raises StreamPositionError."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 16 or int(text) > INTEGER_MAX:
        raise StreamPositionError(f"`{what}` is a position of the log: the id of an event")
    return int(text)


def subprotocol_key(offered: Sequence[str]) -> str | None:
    """The API key in `cordum-api-key, <base64url>` or `cordum-api-key.<base64url>`; None without
    one.

    A text that is not base64url gives an empty key, which nobody has.
    """
    for number, name in enumerate(offered):
        if name.startswith(f"{SUBPROTOCOL}."):
            return _decoded_key(name.removeprefix(f"{SUBPROTOCOL}."))
        if name == SUBPROTOCOL and number + 1 < len(offered):
            return _decoded_key(offered[number + 1])
    return None


def _decoded_key(encoded: str) -> str:
    text = encoded.rstrip("=")
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        return ""
