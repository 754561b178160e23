"""Errors → the flat body that published clients read. The cause of an error stays inside."""

from typing import Any

from forestall.errors import ForestallError, LimitExceededError


def error_object(error: ForestallError, request_id: str) -> dict[str, Any]:
    """The body of an error: `error` is a text, and `details` are flat."""
    body: dict[str, Any] = {
        "error": error.message,
        "code": error.code,
        "status": error.http_status,
        "message": error.message,
        "request_id": request_id,
    }
    if error.details:
        body["details"] = error.details
    if isinstance(error, LimitExceededError):
        body.update(error.details)  # clients read `limit`, `current` and `allowed` at the top level
    for name, value in error.told.items():
        body.setdefault(name, value)
    return body
