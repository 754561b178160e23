"""What a worker reports in a message that the strict reader refuses: results and heartbeats.

The work is done, and a refused report would lose it or let it be done twice. So a report whose
lease can be read ends its job as the worker said. A result that has one reading is kept, escaped;
any other is withheld, and nobody reads it before a person released it. What names no lease is
refused, as is an answer whose lease is not the worker's.
"""

import re

from forestall.errors import InvalidRequestError
from forestall.jobs.worker import RESULT_PROBLEMS, RESULT_UNREADABLE, Heartbeat, WorkerAnswer
from forestall.limits import ERROR_CHARS_MAX, NAME_CHARS_MAX, PROGRESS_CHARS_MAX, REPORT_MARKS_MAX
from forestall.wire.tolerant_json import elements, members, quoted, shown, tolerant_value

_FIELDS = frozenset({"lease_id", "status", "result", "error", "retryable", "result_problem"})
_CUT = " […]"
_MARKS = (b"[", b"{", b",", b'"')
_LEASE = re.compile(rb'"lease_id"\s{0,8}:\s{0,8}"([A-Za-z0-9-]{1,256})"')


def cut(text: str, chars_max: int) -> str:
    """The text, cut to a bound, without the word at the cut.

    The worker may have cut the text at the same bound. A part of a secret would be found by no
    detector, so the last word goes.
    """
    if len(text) < chars_max:
        return text
    words = text[: chars_max - len(_CUT)].rsplit(maxsplit=1)
    return (words[0] if len(words) > 1 else "") + _CUT


def failed_answer(code: str, message: str, *, retryable: bool) -> WorkerAnswer:
    """The answer for an attempt that failed. Too long a code is shown before the message."""
    if len(code) > NAME_CHARS_MAX:
        code, message = "", f"{code}: {message}"
    return WorkerAnswer(
        error_code=code or "worker_failed",
        error_message=cut(message, ERROR_CHARS_MAX),
        retryable=retryable,
    )


def reported_answer(body: bytes, refusal: InvalidRequestError) -> tuple[str, WorkerAnswer]:
    """The lease and the outcome in a refused message. Raises the refusal if it names no lease."""
    if _is_long(body):
        return _unread(body, refusal)
    named = members(body)
    fields = dict(named)
    lease_id = _text(fields, "lease_id")
    if not lease_id:
        raise refusal
    once = len(fields) == len(named)
    status = _text(fields, "status") if once else ""
    if status == "failed":
        return lease_id, _failed(fields)
    raw = fields.get("result", b"")
    if (
        status == "succeeded"
        and fields.get("error", b"null") == b"null"
        and _FIELDS.issuperset(fields)
    ):
        value = tolerant_value(raw or b"null")
        problem = _text(fields, "result_problem")
        if value is not None:
            return lease_id, succeeded_answer(value, problem)
        return lease_id, WorkerAnswer(result=quoted(raw), result_problem=RESULT_UNREADABLE)
    # Nobody can say which outcome was meant. Withheld, it is neither read nor tried again.
    return lease_id, WorkerAnswer(result=quoted(body), result_problem=RESULT_UNREADABLE)


def _unread(body: bytes, refusal: InvalidRequestError) -> tuple[str, WorkerAnswer]:
    """As `reported_answer`, of a message that would take too long to read: only its lease is looked
    for. A lease of somebody else is of no use to the worker, so it does not matter where in the
    message the lease stands."""
    found = _LEASE.search(body)
    if found is None:
        raise refusal
    return found[1].decode(), WorkerAnswer(result=quoted(body), result_problem=RESULT_UNREADABLE)


def succeeded_answer(result: bytes, problem: str) -> WorkerAnswer:
    """The answer of an attempt that succeeded. `problem` is why the worker could not send all of
    its result; it is one of a closed list, since people read it."""
    if problem and problem not in RESULT_PROBLEMS:
        problem = RESULT_UNREADABLE
    return WorkerAnswer(
        result=b"" if problem and result == b"null" else result, result_problem=problem
    )


def _failed(fields: dict[str, bytes]) -> WorkerAnswer:
    raw = fields.get("error", b"")
    error = dict(members(raw))
    code, message = (shown(error[name]) if name in error else "" for name in ("code", "message"))
    if not raw.startswith(b"{") and raw != b"null":
        message = shown(raw)
    return failed_answer(code, message, retryable=fields.get("retryable") == b"true")


def reported_answers(
    body: bytes, refusal: InvalidRequestError
) -> list[tuple[str, str, WorkerAnswer]]:
    """Job, lease and outcome of each answer of a batch that was refused. Raises the refusal when
    one of them names no job or lease, or when reading the batch would take too long: its answers
    may be sent one by one."""
    found = []
    if _is_long(body):
        raise refusal
    for raw in elements(dict(members(body)).get("results", b"")):
        item = dict(members(raw))
        job_id = _text(item, "job_id")
        if not job_id:
            raise refusal
        found.append((job_id, *reported_answer(item.get("answer", b""), refusal)))
    return found


def reported_beats(body: bytes, refusal: InvalidRequestError) -> list[Heartbeat]:
    """The leases that a refused heartbeat names. Raises the refusal when it names none."""
    beats: list[Heartbeat] = []
    if _is_long(body):
        raise refusal
    for raw in elements(dict(members(body)).get("leases", b"")):
        fields = dict(members(raw))
        job_id, lease_id = _text(fields, "job_id"), _text(fields, "lease_id")
        if job_id and lease_id:
            percent = fields.get("percent", b"")
            beats.append(
                Heartbeat(
                    job_id=job_id,
                    lease_id=lease_id,
                    started=fields.get("started") != b"false",
                    progress=cut(shown(fields.get("progress", b"")), PROGRESS_CHARS_MAX),
                    percent=min(100, int(percent)) if percent.isdigit() and len(percent) < 4 else 0,
                )
            )
    if not beats:
        raise refusal
    return beats


def _is_long(body: bytes) -> bool:
    """Whether reading the message would keep others waiting."""
    marks = sum(body.count(mark) for mark in _MARKS) + body.count(b"\\") // 8
    return marks > REPORT_MARKS_MAX


def _text(fields: dict[str, bytes], name: str) -> str:
    """A field that is a text and no longer than a name; else empty."""
    raw = fields.get(name, b"")
    text = shown(raw) if raw.startswith(b'"') else ""
    return text if len(text) <= NAME_CHARS_MAX else ""
