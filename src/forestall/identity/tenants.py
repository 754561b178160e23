"""A tenant: the boundary of data, keys and jobs. Values only; proves nothing and decides nothing.

A tenant need not have been made: one whose keys were made on the data of a stopped server is there
by its keys alone. Such a tenant is active until somebody suspends it.
"""

import re

import msgspec

from forestall.errors import InvalidRequestError
from forestall.limits import NAME_CHARS_MAX, TENANT_NOTE_CHARS_MAX

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Tenant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tenant as stored. Times are microseconds since the Unix epoch, UTC."""

    name: str
    created_at_us: int
    created_by: str = ""  # principal of the platform's tenant
    description: str = ""
    suspended_at_us: int | None = None  # None: active
    suspended_by: str = ""
    suspend_reason: str = ""


class TenantSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant and how much of it there is."""

    tenant: Tenant
    usable_keys: int
    workers: int  # that are registered now


def require_tenant_name(text: str) -> str:
    """Require a name for a new tenant: as `require_name`, and without what parts a path or a
    name."""
    if len(text) > NAME_CHARS_MAX or not _NAME.fullmatch(text):
        raise InvalidRequestError(
            f"a tenant's name is 1 to {NAME_CHARS_MAX} letters, digits and . _ -, first a letter or"
            " digit"
        )
    return text


def require_note(text: str, what: str) -> str:
    """Require a description or reason to be bounded and printable: it stands in records and
    lists."""
    if len(text) > TENANT_NOTE_CHARS_MAX or not (text.isprintable() or not text):
        raise InvalidRequestError(
            f"`{what}` has at most {TENANT_NOTE_CHARS_MAX} printable characters"
        )
    return text
