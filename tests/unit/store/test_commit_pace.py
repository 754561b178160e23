"""Transactions of the SQLite store keep apart under load, and nobody waits without load.

Time is a number here: the writer's thread is real, its clock and its sleep are ours.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from forestall.limits import COMMIT_GAP_US, COMMIT_GROUP_MAX
from forestall.ports.change import Receipt
from forestall.store import writer
from forestall.store.sqlite import SqliteStore
from forestall.store.writer import CommitPace
from tests.unit.store.test_sqlite import a_birth, drive, submit_all

GAP_NS = COMMIT_GAP_US * 1_000


def test_the_first_transaction_begins_at_once() -> None:
    assert CommitPace().rest_ns(0) <= 0


def test_after_a_group_the_next_waits_for_the_rest_of_the_gap() -> None:
    pace = CommitPace()
    pace.began(10_000, changes=2)
    assert pace.rest_ns(10_000) == GAP_NS
    assert pace.rest_ns(10_000 + GAP_NS // 3) == GAP_NS - GAP_NS // 3
    assert pace.rest_ns(10_000 + GAP_NS) == 0


def test_after_a_pause_nobody_waits() -> None:
    pace = CommitPace()
    pace.began(10_000, changes=COMMIT_GROUP_MAX)
    assert pace.rest_ns(10_000 + 60 * 10**9) < 0


def test_a_change_that_came_alone_makes_nobody_wait() -> None:
    pace = CommitPace()
    pace.began(10_000, changes=2)
    pace.began(20_000_000, changes=1)
    assert pace.rest_ns(20_000_001) <= 0


class _StoppedClock(SimpleNamespace):
    """It moves only when the writer sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 10**12
        self.sleeps: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _StoppedClock:
    clock = _StoppedClock()
    monkeypatch.setattr(writer, "time", clock)
    return clock


def test_one_client_alone_never_waits(tmp_path: Path, clock: _StoppedClock) -> None:
    """However fast it asks again: each of its changes is a group of its own."""

    async def one_by_one(store: SqliteStore) -> None:
        for number in range(50):
            assert isinstance(await store.commit(a_birth(f"j{number}")), Receipt)

    drive(tmp_path / "forestall.db", one_by_one)
    assert clock.sleeps == []


def test_under_load_every_wait_is_within_the_gap_and_all_is_stored(
    tmp_path: Path, clock: _StoppedClock
) -> None:
    async def waves(store: SqliteStore) -> None:
        for wave in range(10):
            changes = [a_birth(f"j{wave}-{number}") for number in range(32)]
            receipts = await submit_all(store, changes)
            assert all(isinstance(receipt, Receipt) for receipt in receipts)

    drive(tmp_path / "forestall.db", waves)
    assert clock.sleeps, "a wave of 32 is load"
    assert all(0 < seconds <= GAP_NS / 1e9 for seconds in clock.sleeps)
