"""What a handler is given and what it may raise; what a worker answers. Values; no I/O."""

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
    """Raised by a handler: the job failed, and the control plane may know this about it."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code, self.message = code[:NAME_CHARS_MAX], message[:ERROR_CHARS_MAX]


class Retryable(Failure):
    """Raised by a handler: nothing was done, so the job may be tried again."""

    def __init__(self, message: str = "", *, code: str = "retryable") -> None:
        super().__init__(code, message)


class Job(msgspec.Struct, kw_only=True, eq=False):
    """One attempt of a job, checked: signed by the control plane, for this worker, unchanged.

    `constraints` are those of the ticket; the plane itself keeps `max_runtime_ms`, `max_retries`,
    `max_concurrent_jobs` and `max_artifact_bytes`, the handler has to keep the others.
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
    ends_at: float | None = None  # on `time.monotonic`
    # Set when the job is to be stopped: cancelled, timed out, taken away. For functions in threads;
    # an async function is cancelled.
    cancelled: threading.Event = msgspec.field(default_factory=threading.Event)
    said: tuple[str, int] = ("", 0)

    def progress(self, message: str, percent: int = 0) -> None:
        """Tell how far it is; seen at the job within a second or so. From any thread."""
        self.said = (message[:PROGRESS_CHARS_MAX], max(0, min(100, percent)))

    def seconds_left(self) -> float | None:
        """Until it is stopped; None when no deadline bounds it."""
        return None if self.ends_at is None else self.ends_at - time.monotonic()


def succeeded(lease_id: str, job: Job, value: Any) -> bytes:
    """The answer of a handler that returned. Raises Failure when that cannot be sent."""
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
    """The answer that a job failed."""
    return msgspec.json.encode(
        {
            "lease_id": lease_id,
            "status": "failed",
            "error": {"code": _clean(failure.code), "message": _clean(failure.message)},
            "retryable": isinstance(failure, Retryable),
        }
    )


def failure_of(error: BaseException, *, with_text: bool) -> Failure:
    """What the control plane is told of an exception: its class, and its text only if wanted."""
    if isinstance(error, Failure):
        return error
    text = f"the handler raised {type(error).__name__}"
    if with_text:
        text += f": {error}"
    return Failure(HANDLER_FAILED, text)


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_text = msgspec.json.encode


def _kind(cause: Exception) -> str:
    """Why, without a value of the result."""
    if isinstance(cause, TypeError):
        return str(cause)[:200]  # names a type
    if isinstance(cause, UnicodeEncodeError):
        return "a text holds half a surrogate pair"
    if isinstance(cause, RecursionError):
        return "it is nested too deeply"
    return "it holds itself, or a number that is not finite"


def _clean(text: str) -> str:
    """What the server's reader takes: no NUL, no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
