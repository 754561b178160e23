"""When full collections run: by the clock, or when memory has grown."""

import gc

import pytest

from forestall.control.publish import compile_files
from forestall.limits import (
    FULL_COLLECTION_BLOCKS_MIN,
    FULL_COLLECTION_GROWTH_PERCENT,
    FULL_COLLECTION_SECONDS,
)
from forestall.server.garbage import FullCollections

POLICY = b"""\
name: wire
default_decision: deny
rules:
  - id: a
    decision: deny
    reason: "no"
    match: {topics: ["job.exec.*"], labels: {command_class: "destructive"}}
  - id: b
    decision: require_approval
    match: {topics: ["job.deploy.*"], capabilities: ["infra.write"]}
"""


@pytest.mark.parametrize("blocks", [0, 1_000_000, 100 * FULL_COLLECTION_BLOCKS_MIN])
def test_one_is_due_by_the_clock(blocks: int) -> None:
    due = FullCollections(seconds=1_000.0, blocks=blocks)
    assert not due.is_due(seconds=1_000.0 + FULL_COLLECTION_SECONDS - 1, blocks=blocks)
    assert due.is_due(seconds=1_000.0 + FULL_COLLECTION_SECONDS, blocks=blocks)
    due.done(seconds=1_700.0, blocks=blocks)
    assert not due.is_due(seconds=1_701.0, blocks=blocks)


def test_growth_brings_one_forward() -> None:
    """A quarter of what is in use, or about 100 MB: whichever is more."""
    small = FullCollections(seconds=0.0, blocks=500_000)
    assert not small.is_due(seconds=5.0, blocks=500_000 + FULL_COLLECTION_BLOCKS_MIN)
    assert small.is_due(seconds=5.0, blocks=500_001 + FULL_COLLECTION_BLOCKS_MIN)
    in_use = 40 * FULL_COLLECTION_BLOCKS_MIN
    large = FullCollections(seconds=0.0, blocks=in_use)
    grown = in_use + in_use * FULL_COLLECTION_GROWTH_PERCENT // 100
    assert not large.is_due(seconds=5.0, blocks=grown)
    assert large.is_due(seconds=5.0, blocks=grown + 1)


def test_memory_that_shrank_brings_none_forward() -> None:
    due = FullCollections(seconds=0.0, blocks=10_000_000)
    assert not due.is_due(seconds=5.0, blocks=0)


def test_a_policy_that_is_dropped_needs_no_collector() -> None:
    """The policy at start is never looked at again by the collector, and must be freed all the
    same once another one replaces it."""
    gc.collect()
    gc.disable()
    try:
        snapshot = compile_files([("wire.yaml", POLICY)])
        assert snapshot.rule_count == 2
        del snapshot
        assert gc.collect() == 0, "something of a snapshot is held by a cycle"
    finally:
        gc.enable()
