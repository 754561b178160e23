"""Is a record what the table of kinds says of it? Asked of every record that tests cause."""

from collections.abc import Iterable

import msgspec

from forestall.audit.chain import ChainLink
from forestall.audit.kinds import KINDS
from forestall.audit.record import Record

MADE_UP = "test"  # the actor of a record that a test put into the log itself


def require_described(log: Iterable[Record | ChainLink]) -> None:
    """Every kind, and every field of its data, stands in forestall/audit/kinds.py."""
    for entry in log:
        record = entry
        if isinstance(record, ChainLink):
            record = msgspec.json.decode(record.record, type=Record)
        if record.actor == MADE_UP:
            continue
        assert record.kind in KINDS, f"forestall/audit/kinds.py lacks `{record.kind}`"
        unknown = record.data.keys() - KINDS[record.kind].fields
        assert not unknown, f"forestall/audit/kinds.py lacks {unknown} of `{record.kind}`"
