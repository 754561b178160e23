"""Errors → the flat body that published clients read. The cause of an error stays inside."""

from msgspec import UNSET, UnsetType

from forestall.errors import Detail, ForestallError, LimitExceededError
from forestall.wire.objects import WireObject


class ErrorObject(WireObject, frozen=True):
    """The body of every refusal. `code` is what programs read; `error` and `message` are one text.

    The fields after `details` come with some codes only; errors.md says with which.
    """

    error: str
    code: str
    status: int
    message: str
    request_id: str
    details: dict[str, Detail] | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    current: int | UnsetType = UNSET
    allowed: int | UnsetType = UNSET
    registered_topics: list[str] | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    topics_endpoint: str | UnsetType = UNSET
    schema_id: str | UnsetType = UNSET
    violations: list[str] | UnsetType = UNSET
    pool: str | UnsetType = UNSET
    pool_status: str | UnsetType = UNSET
    queued_jobs: int | UnsetType = UNSET
    agent_ids: list[str] | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET


def error_object(error: ForestallError) -> ErrorObject:
    """The body of an error: a text and flat details. The gateway adds the id of the request."""
    # Clients read `limit`, `current` and `allowed` at the top level.
    limits = error.details if isinstance(error, LimitExceededError) else {}
    return ErrorObject.of(
        error,
        error=error.message,
        message=error.message,
        status=error.http_status,
        request_id="",
        details=error.details or UNSET,
        **{**error.told, **limits},
    )
