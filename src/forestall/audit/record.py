"""One thing that happened. Its canonical bytes are a leaf of the log; it never holds a secret."""

from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.canonical import canonical_struct

Scalar = str | int | bool | None
Value = Scalar | tuple[str, ...] | tuple[tuple[str, str], ...]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to what, when, and why.

    `kind` is past tense (`job.submitted`). `data` is flat; pairs stand as lists of two texts, so
    that keys chosen by a client never become keys of the canonical JSON. `salt` (16 random bytes,
    hex) keeps a leaf hash from revealing a guessable record to another tenant.
    """

    kind: str
    at_us: int
    tenant: str
    actor: str
    salt: str
    job_id: str = ""
    data: Mapping[str, Any] = {}  # of `Value`s

    def canonical(self) -> bytes:
        """The leaf: RFC 8785 JSON of this record."""
        return canonical_struct(self)
