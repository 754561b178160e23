"""The root of the error tree and the registry of codes. Knows nothing of transports.

Every error that a user can meet derives from `ForestallError` and owns one stable `code`. The
message is for people: one sentence, lower case, input in back-ticks, saying what to do. Secrets
and payloads never go into a message.
"""

from collections.abc import Mapping
from typing import ClassVar

Detail = str | int | bool

_REGISTRY: dict[str, type["ForestallError"]] = {}


class ForestallError(Exception):
    """Something that went wrong and has a name.

    Attributes: `code` (stable, documented in docs/reference/errors.md), `http_status`,
    `details` (flat), `retry_after_s` (whole seconds, or None when a retry cannot help), `told`
    (fields of its own beside those that every error has, where a wire contract wants some).
    """

    code: ClassVar[str] = ""  # every class that is raised has its own
    http_status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Detail] | None = None,
        retry_after_s: int | None = None,
        told: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Detail] = dict(details or {})
        self.retry_after_s = retry_after_s
        self.told: dict[str, object] = dict(told or {})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in cls.__dict__:
            other = _REGISTRY.setdefault(cls.code, cls)
            assert other is cls, f"error code {cls.code!r} has two owners"


def all_errors() -> dict[str, type[ForestallError]]:
    """Every error class loaded so far, by code; the reference page is tested against it."""
    return dict(_REGISTRY)


class InternalError(ForestallError):
    """Something that we did not foresee: a fault of ours. The log has the details."""

    code, http_status = "internal_error", 500


class InvalidRequestError(ForestallError):
    """A field of the request is missing, too long, of the wrong type or not one of its values."""

    code, http_status = "invalid_request", 400


class LimitExceededError(ForestallError):
    """A size bound was passed; `details` name the limit, what came and what is allowed."""

    code, http_status = "tier_limit_exceeded", 413


class UnauthorizedError(ForestallError):
    """No credential, or one that is unknown, expired or revoked. Never says which."""

    code, http_status = "unauthorized", 401


class ForbiddenError(ForestallError):
    """The credential is good, but does not carry the permission that this needs."""

    code, http_status = "forbidden", 403


class NotFoundError(ForestallError):
    """There is no such thing in this tenant; other tenants' things look exactly the same."""

    code, http_status = "not_found", 404


class ConflictError(ForestallError):
    """The state moved on since the caller last looked."""

    code, http_status = "conflict", 409


class UnavailableError(ForestallError):
    """We cannot do this now; nothing was recorded and nothing ran."""

    code, http_status = "service_unavailable", 503
