"""When full collections run: by the clock, or when memory has grown."""

import asyncio
import gc
import subprocess
import sys
from typing import Any

import pytest

from forestall.control.publish import compile_files
from forestall.limits import (
    FULL_COLLECTION_BLOCKS_MIN,
    FULL_COLLECTION_GROWTH_PERCENT,
    FULL_COLLECTION_SECONDS,
)
from forestall.server import garbage_collection
from forestall.server.garbage_collection import FullCollections

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


def test_the_loop_runs_a_full_collection_when_one_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on for ever, with one more when the next is due."""
    monkeypatch.setattr(garbage_collection, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(garbage_collection, "FULL_COLLECTION_SECONDS", 0.002)
    full = asyncio.Event()

    def watch(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2:
            full.set()

    async def run() -> None:
        task = asyncio.create_task(garbage_collection.collect_rarely())
        for _ in range(2):
            await asyncio.wait_for(full.wait(), 10)
            full.clear()
        task.cancel()

    gc.callbacks.append(watch)
    try:
        asyncio.run(run())
    finally:
        gc.callbacks.remove(watch)


def test_after_the_start_python_starts_no_full_collection_by_itself() -> None:
    """In a process of its own, since what is frozen there stays frozen."""
    program = """
import gc
from forestall.server.garbage_collection import freeze_start
freeze_start()
assert gc.isenabled() and gc.get_freeze_count() > 10_000
kept = [[] for _ in range(1_500_000)]
young, middle, full = (each["collections"] for each in gc.get_stats())
assert young > 100 and middle > 10, (young, middle)
assert gc.get_count()[2] > 10, "the middle generation is looked at, and nothing more"
cycle = []
cycle.append(cycle)
del cycle
assert gc.collect() >= 1, "what is made later is collected"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
