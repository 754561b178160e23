"""What a handler receives and may raise, and the answers of a worker. Values; no I/O."""

import json
import logging
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.limits import (
    BODY_BYTES_MAX,
    ERROR_CHARS_MAX,
    INTEGER_MAX,
    JSON_DEPTH_MAX,
    NAME_CHARS_MAX,
    PROGRESS_CHARS_MAX,
)
from forestall.texts import escaped

_LOG = logging.getLogger("forestall.worker")
HANDLER_FAILED = "worker_failed"
RESULT_TOO_LARGE, RESULT_NOT_JSON = "result_too_large", "result_not_json"
RESULT_REFUSED = "result_refused"
_ENVELOPE_BYTES_MAX = 4 * 1024  # of an answer, without its result
_PART_CHARS_MAX = BODY_BYTES_MAX // 8  # of a result that is too large; escapes make it longer


class Failure(Exception):  # noqa: N818 - read where it is raised: `raise Failure("no_stock")`
    """Raised by a handler: the job failed. The plane may store the code and the message."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = escaped(str(code))[:NAME_CHARS_MAX]
        self.message = escaped(str(message))[:ERROR_CHARS_MAX]


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
    last_progress: tuple[str, int] = ("", 0)  # message and percent

    def progress(self, message: str, percent: int = 0) -> None:
        """Report progress, shown within about a second; `percent` is 0 to 100. From any thread."""
        text = escaped(str(message))[:PROGRESS_CHARS_MAX]
        self.last_progress = (text, max(0, min(100, int(percent))))

    def seconds_left(self) -> float | None:
        """Seconds until the job is stopped; None without a deadline."""
        return None if self.ends_at is None else self.ends_at - time.monotonic()


def succeeded(lease_id: str, job: WorkerJob, value: Any) -> bytes:
    """The answer of a handler that returned a value.

    The work is done, so the answer never says otherwise. A value that is no JSON is sent as the
    nearest JSON, with `escaped` texts. One that cannot be sent is marked: the plane withholds it.
    """
    try:
        result = _encode(value).encode()
    except Exception:  # noqa: BLE001 - code of the value may run here, and raise anything
        try:
            result = _encode(_plain(value, 0)).encode()
        except Exception as cause:  # noqa: BLE001 - as above
            kind = type(cause).__name__
            _LOG.error("the result of job %s is not JSON (%s): it is not sent", job.id, kind)
            return unsent(lease_id, RESULT_NOT_JSON)
    bound = job.constraints.get("budgets", {}).get("max_artifact_bytes")
    if bound is not None and len(result) > bound:
        _LOG.error("the result of job %s is larger than its constraint: it is not sent", job.id)
        return unsent(lease_id, RESULT_TOO_LARGE)
    if len(result) > BODY_BYTES_MAX - _ENVELOPE_BYTES_MAX:
        _LOG.error("the result of job %s is too large: only its beginning is sent", job.id)
        part = result[:_PART_CHARS_MAX].decode("utf-8", "ignore") + " […]"
        return unsent(lease_id, RESULT_TOO_LARGE, part)
    return b'{"lease_id":%b,"status":"succeeded","result":%b}' % (_text(lease_id), result)


def unsent(lease_id: str, problem: str, part: str | None = None) -> bytes:
    """The answer for a job that succeeded and whose result cannot be sent whole. The plane
    withholds what is sent of it."""
    return msgspec.json.encode(
        {"lease_id": lease_id, "status": "succeeded", "result": part, "result_problem": problem}
    )


def failed(lease_id: str, failure: Failure) -> bytes:
    """The answer for a job that failed."""
    return msgspec.json.encode(
        {
            "lease_id": lease_id,
            "status": "failed",
            "error": {"code": failure.code, "message": failure.message},
            "retryable": isinstance(failure, Retryable),
        }
    )


def failure_of(error: BaseException, *, with_text: bool) -> Failure:
    """The failure to report for an exception: its class, and its text only `with_text`."""
    if isinstance(error, Failure):
        return error
    text = f"the handler raised {type(error).__name__}"
    if with_text:
        try:
            text += f": {error}"
        except Exception:  # noqa: BLE001 - code of the exception runs here, and may raise anything
            text += ", whose text cannot be read"
    return Failure(HANDLER_FAILED, text)


_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_text = msgspec.json.encode


def _plain(value: Any, depth: int) -> Any:
    """The JSON nearest to a value. Raises ValueError when it is nested too deeply or holds itself,
    and whatever the value's own code raises."""
    if depth > JSON_DEPTH_MAX:
        raise ValueError("nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) <= INTEGER_MAX else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {escaped(str(name)): _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return escaped(value.decode("utf-8", "surrogateescape"))
    return escaped(str(value))
