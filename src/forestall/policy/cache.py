"""The decision cache (control 9): bounded, and never the cause of another decision.

The key is the snapshot and every fact that the snapshot reads, and nothing else. A decision that
may become stale is not kept: a throttle or an approval is decided anew each time. A decision that
reads the time is kept for its minute only, because hours in policies are written in minutes.
Evaluation is one synchronous call, so two callers never compute the same entry at once.
"""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from forestall.policy.evaluator import NONE_LIFTED, evaluate
from forestall.policy.read_set import ReadSet
from forestall.policy.request import Request, payload_parts
from forestall.policy.rules import Decision, Effect
from forestall.policy.snapshot import Snapshot

_KEPT = frozenset({Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS, Effect.DENY})


class DecisionCache:
    """Decisions by key, for `ttl_ms` each; when the cache is full the oldest entry goes."""

    __slots__ = ("_entries", "_entries_max", "_ttl_us", "evictions", "hits", "misses")

    def __init__(self, *, entries_max: int, ttl_ms: int) -> None:
        self._entries: dict[bytes, tuple[int, Decision]] = {}
        self._entries_max = entries_max
        self._ttl_us = ttl_ms * 1_000
        self.hits = self.misses = self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def evaluate(
        self,
        snapshot: Snapshot,
        request: Request,
        *,
        now: datetime,
        now_us: int,
        lifted: frozenset[str] = NONE_LIFTED,
    ) -> Decision:
        """The decision of `evaluate`, from the cache if possible. `now` and `now_us` are the same
        instant."""
        key = cache_key(snapshot, request, now_us=now_us, lifted=lifted)
        remembered = self.get(key, now_us=now_us)
        if remembered is not None:
            return remembered
        decision = evaluate(snapshot, request, now=now, lifted=lifted)
        self.keep(key, decision, now_us=now_us)
        return decision

    def get(self, key: bytes | None, *, now_us: int) -> Decision | None:
        """The decision under a key of `cache_key`, if it has not expired."""
        entry = self._entries.get(key) if key is not None else None
        # A clock that was set back makes an entry look younger than it is: such an entry counts as
        # expired.
        if entry is not None and 0 <= now_us - entry[0] < self._ttl_us:
            self.hits += 1
            return entry[1]
        self.misses += 1
        return None

    def keep(self, key: bytes | None, decision: Decision, *, now_us: int) -> None:
        """Keep a decision as of an instant, unless it is a kind that may become stale."""
        if key is not None and decision.decision in _KEPT and decision.code != "rule_error":
            self._entries.pop(key, None)  # so that a renewed entry becomes the youngest
            if len(self._entries) >= self._entries_max:
                del self._entries[next(iter(self._entries))]
                self.evictions += 1
            self._entries[key] = (now_us, decision)

    def flush(self) -> None:
        """Forget everything. Called when another snapshot comes into force."""
        self._entries.clear()


def _payload(reads: ReadSet, request: Request) -> Any:
    """What the decision depends on of the payload: all of it where labels are derived from it."""
    if reads.readings_of(request.topic):
        return payload_parts(request), request.payload is None
    return (request.payload, request.args) if reads.insides else None


def cache_key(
    snapshot: Snapshot, request: Request, *, now_us: int, lifted: frozenset[str]
) -> bytes | None:
    """SHA-256 over all that the decision depends on, each part length-prefixed (MessagePack).

    None when the request holds a value that MessagePack cannot encode; that decision is not kept.
    """
    reads = snapshot.reads
    read = reads.labels
    sources = (request.labels, request.credential_labels, request.server_labels)
    try:
        encoded = msgspec.msgpack.encode(
            (
                snapshot.digest,
                reads.attributes(request),
                [
                    sorted((name, value) for name, value in source.items() if name in read)
                    for source in sources
                    if source
                ]
                if read
                else (),
                [not source for source in sources],
                _payload(reads, request),
                request.delegation if reads.delegation else None,
                now_us // 60_000_000 if reads.time else 0,
                sorted(lifted),
            )
        )
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return hashlib.sha256(encoded).digest()
