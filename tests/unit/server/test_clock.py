"""A clock that is set back revives nothing: within a process, and over a restart."""

import asyncio
import logging
from pathlib import Path

import pytest

from forestall.control.keys import authenticate, create_key, list_keys
from forestall.control.plane import Plane
from forestall.errors import UnauthorizedError
from forestall.identity.credentials import NewKey
from forestall.identity.roles import Role
from forestall.limits import INSTANT_US_MAX
from forestall.server.background_loops import last_seen_of
from forestall.server.bootstrap import NoTelemetry, open_plane
from forestall.server.clock import ForwardClock
from forestall.server.files import DataDir
from forestall.server.last_seen import (
    LAST_SEEN_FILE,
    LastSeen,
    read_last_seen,
    write_last_seen,
)

SECOND = 1_000_000_000
DAY_US = 86_400_000_000


class Machine:
    """The two clocks of a machine, of which somebody sets one."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_000 * SECOND, 5 * SECOND
        self.clock = ForwardClock(lambda: self.wall, lambda: self.elapsed)

    def pass_by(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.elapsed += int(seconds * SECOND)

    def now(self) -> float:
        return self.clock.now_us() / 1_000_000


def test_it_follows_the_machine() -> None:
    machine = Machine()
    assert machine.now() == 1_000
    machine.pass_by(7)
    assert machine.now() == 1_007
    machine.wall += 3_600 * SECOND
    assert machine.now() == 4_607


@pytest.mark.parametrize("step", [0.001, 1, 60, 3_600, 86_400, 10**9])
def test_it_never_goes_back_and_never_stands_still(step: float) -> None:
    """Set back, it goes on at half its speed: leases still end, and the machine catches up."""
    machine = Machine()
    before = machine.now()
    machine.wall -= int(step * SECOND)
    assert machine.now() == before
    for _ in range(50):
        machine.pass_by(step / 10)
        now = machine.now()
        assert now >= before
        before = now
    assert machine.now() == machine.wall / SECOND
    assert now > 1_000 + step


def test_while_it_is_behind_time_passes() -> None:
    machine = Machine()
    machine.now()
    machine.wall -= 1_000 * SECOND
    for passed in range(1, 100):
        machine.pass_by(2)
        assert machine.now() == 1_000 + passed


def test_many_looks_in_a_short_time_lose_no_time() -> None:
    machine = Machine()
    machine.now()
    machine.wall -= 100 * SECOND
    for _ in range(1_000):
        machine.wall += 1_000_000
        machine.elapsed += 1_000_000
        machine.now()
    assert machine.now() == pytest.approx(1_000.5, abs=0.001)


def test_it_says_once_that_the_clock_was_set_back(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.now()
    with caplog.at_level(logging.WARNING, "forestall.clock"):
        machine.wall -= SECOND // 2  # how machines keep their clock right
        machine.now()
        assert not caplog.messages
        machine.wall -= 3_600 * SECOND
        for _ in range(5):
            machine.now()
        assert len(caplog.messages) == 1
        assert "3600 seconds behind" in caplog.messages[0]
        machine.wall += 7_200 * SECOND
        machine.now()
        assert "caught up" in caplog.messages[1]


def test_a_start_begins_no_earlier_than_it_is_told() -> None:
    machine = Machine()
    machine.clock.not_before(5_000_000_000)
    machine.clock.not_before(4_000_000_000)
    assert machine.now() == 5_000


# -- over a restart --


async def opened(path: Path) -> tuple[DataDir, Plane]:
    folder = DataDir(path)
    return folder, await open_plane(folder, NoTelemetry())


async def closed(folder: DataDir, plane: Plane) -> None:
    await plane.store.close()
    folder.close()


def test_an_expired_key_stays_expired_when_the_clock_goes_back_over_a_restart(
    tmp_path: Path,
) -> None:
    """The machine was two days ahead, or is two days behind now: only the log knows."""

    async def run() -> None:
        folder, plane = await opened(tmp_path / "data")
        ends = plane.clock.now_us() + DAY_US
        wanted = NewKey(tenant="t", name="k", role=Role.AGENT, expires_at_us=ends)
        _, text = await create_key(plane, wanted, actor="test")
        assert authenticate(plane, text).principal == "k"
        clock = plane.clock
        assert isinstance(clock, ForwardClock)
        clock.not_before(ends + DAY_US)
        with pytest.raises(UnauthorizedError):
            authenticate(plane, text)
        await create_key(plane, NewKey(tenant="t", name="l", role=Role.AGENT), actor="test")
        await closed(folder, plane)
        (tmp_path / "data" / LAST_SEEN_FILE).unlink(missing_ok=True)

        folder, plane = await opened(tmp_path / "data")
        assert plane.clock.now_us() >= ends + DAY_US
        with pytest.raises(UnauthorizedError):
            authenticate(plane, text)
        await closed(folder, plane)

    asyncio.run(run())


def test_what_was_seen_and_left_no_record_is_remembered_too(tmp_path: Path) -> None:
    """An expired key is refused without a record, so the log alone does not know that hour."""

    async def run() -> None:
        folder, plane = await opened(tmp_path / "data")
        _, text = await create_key(
            plane, NewKey(tenant="t", name="k", role=Role.VIEWER), actor="test"
        )
        assert plane.key_uses.last_us(list_keys(plane, "t")[0].id) is None
        authenticate(plane, text)
        used = plane.key_uses.last_us(list_keys(plane, "t")[0].id)
        clock = plane.clock
        assert isinstance(clock, ForwardClock)
        clock.not_before(plane.clock.now_us() + DAY_US)
        later = plane.clock.now_us()
        write_last_seen(folder.path, last_seen_of(plane))
        await closed(folder, plane)

        folder, plane = await opened(tmp_path / "data")
        assert plane.clock.now_us() >= later
        assert used is not None
        assert plane.key_uses.last_us(list_keys(plane, "t")[0].id) == used
        await closed(folder, plane)

    asyncio.run(run())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b'{"latest_us":"x"}',
        b'{"latest_us":-1}',
        b'{"latest_us":1e400}',
        b'{"latest_us":%d}' % (INSTANT_US_MAX + 1),
        b'{"latest_us":99999999999999999999999}',
        b'{"key_uses":{"k":-1}}',
        b'{"key_uses":{"k":null}}',
        b'{"key_uses":[]}',
        b"[" * 100_000,
    ],
)
def test_a_broken_file_is_no_memory_and_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LAST_SEEN_FILE).write_bytes(content)
    assert read_last_seen(tmp_path) == LastSeen()


def test_a_file_that_cannot_be_read_or_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / LAST_SEEN_FILE).mkdir()
    assert read_last_seen(tmp_path) == LastSeen()
    write_last_seen(tmp_path, LastSeen(latest_us=1))
    write_last_seen(tmp_path / "nowhere", LastSeen(latest_us=1))
    assert read_last_seen(tmp_path / "nowhere") == LastSeen()


def test_what_is_written_is_read_and_is_private(tmp_path: Path) -> None:
    kept = LastSeen(latest_us=5, key_uses={"key-1": 7})
    write_last_seen(tmp_path, LastSeen(latest_us=1))
    write_last_seen(tmp_path, kept)
    assert read_last_seen(tmp_path) == kept
    assert (tmp_path / LAST_SEEN_FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [LAST_SEEN_FILE]
