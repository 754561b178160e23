"""What a handler receives and may raise, and the answers of a worker. Values; no I/O."""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.limits import ERROR_CHARS_MAX, NAME_CHARS_MAX, PROGRESS_CHARS_MAX, RESULT_BYTES_MAX

HANDLER_FAILED = "worker_failed"
RESULT_TOO_LARGE, RESULT_NOT_JSON = "result_too_large", "result_not_json"


class Failure(Exception):  # noqa: N818 - read where it is raised: `raise Failure("no_stock")`
    """Raised by a handler: the job failed with this code and message, both of which the plane may
    store."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code, self.message = code[:NAME_CHARS_MAX], message[:ERROR_CHARS_MAX]


class Retryable(Failure):
    """Raised by a handler: nothing was done, so that the job may be tried again."""

    def __init__(self, message: str = "", *, code: str = "retryable") -> None:
        super().__init__(code, message)


class WorkerJob(msgspec.Struct, kw_only=True, eq=False):
    """One attempt of a job whose ticket was verified: signed by the plane, for this worker,
    unchanged.

    `constraints` are those of the ticket. The plane enforces `max_runtime_ms`, `max_retries`,
    `max_concurrent_jobs` and `max_artifact_bytes`; the handler must keep the others.
    """

    id: str
    attempt: int
    tenant: str
    trace_id: str
    topic: str
    capability: str
    pack_id: str
    principal: str
    actor_id: str
    actor_type: str
    priority: str
    prompt: str
    context: Any
    args: Any
    payload: bytes  # JSON of prompt, context and args: the bytes that the job hash covers
    labels: Mapping[str, str]
    requires: tuple[str, ...]
    risk_tags: tuple[str, ...]
    tags: tuple[str, ...]
    mcp: Mapping[str, str]
    constraints: Mapping[str, Any]
    idempotent: bool
    job_hash: str
    ends_at: float | None = None  # in seconds of `time.monotonic`; None: no deadline
    # Set when the job must stop: cancelled, timed out, or its lease lost. For functions in threads;
    # an async function is cancelled.
    cancelled: threading.Event = msgspec.field(default_factory=threading.Event)
    said: tuple[str, int] = ("", 0)

    def progress(self, message: str, percent: int = 0) -> None:
        """Report progress; the job shows it within about a second. `percent` is 0 to 100. From any
        thread."""
        self.said = (message[:PROGRESS_CHARS_MAX], max(0, min(100, percent)))

    def seconds_left(self) -> float | None:
        """Seconds until the job is stopped; None without a deadline."""
        return None if self.ends_at is None else self.ends_at - time.monotonic()


def succeeded(lease_id: str, job: WorkerJob, value: Any) -> bytes:
    """The answer of a handler that returned a value. Raises Failure when the value cannot be
    sent."""
    try:
        text = "null" if value is None else _encode(value)
        result = text.encode()
    except (TypeError, ValueError, RecursionError) as cause:
        raise Failure(
            RESULT_NOT_JSON, f"the handler's result is not JSON: {_kind(cause)}"
        ) from cause
    bound = job.constraints.get("budgets", {}).get("max_artifact_bytes")
    allowed = RESULT_BYTES_MAX if bound is None else min(RESULT_BYTES_MAX, bound)
    if len(result) > allowed:
        raise Failure(
            RESULT_TOO_LARGE, f"the result has {len(result)} bytes; {allowed} are allowed"
        )
    return b'{"lease_id":%b,"status":"succeeded","result":%b}' % (_text(lease_id), result)


def failed(lease_id: str, failure: Failure) -> bytes:
    """The answer for a job that failed."""
    return msgspec.json.encode(
        {
            "lease_id": lease_id,
            "status": "failed",
            "error": {"code": _clean(failure.code), "message": _clean(failure.message)},
            "retryable": isinstance(failure, Retryable),
        }
    )


def failure_of(error: BaseException, *, with_text: bool) -> Failure:
    """The failure to report for an exception: its class, and its text only `with_text`."""
    if isinstance(error, Failure):
        return error
    text = f"the handler raised {type(error).__name__}"
    if with_text:
        text += f": {error}"
    return Failure(HANDLER_FAILED, text)


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_text = msgspec.json.encode


def _kind(cause: Exception) -> str:
    """The reason why a result is not JSON, without a value of the result."""
    if isinstance(cause, TypeError):
        return str(cause)[:200]  # the message names a type
    if isinstance(cause, UnicodeEncodeError):
        return "a text holds half a surrogate pair"
    if isinstance(cause, RecursionError):
        return "it is nested too deeply"
    return "it holds itself, or a number that is not finite"


def _clean(text: str) -> str:
    """The text without NUL and lone surrogates, which the plane refuses."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
