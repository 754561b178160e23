"""An audit record: one thing that happened. Its canonical bytes are a leaf of the log.

A record never contains a secret.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.canonical import canonical_struct

Scalar = str | int | bool | None
Value = Scalar | tuple[str, ...] | tuple[tuple[str, str], ...]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to what, when, and why. `at_us` is in microseconds since the epoch, UTC.

    `kind` is in the past tense (`job.submitted`). `data` is flat; pairs are lists of two texts, so
    that a key chosen by a client never becomes a key of the canonical JSON. `salt` (16 random
    bytes, hex) keeps a leaf hash from revealing a guessable record to another tenant.
    """

    kind: str
    at_us: int
    tenant: str
    actor: str
    salt: str
    job_id: str = ""
    data: Mapping[str, Any] = {}  # of `Value`s

    def canonical(self) -> bytes:
        """The leaf: the RFC 8785 JSON of this record."""
        return canonical_struct(self)
