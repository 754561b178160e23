"""The keyring: private, whole or not at all, rotated beside a running server; scans in threads."""

import asyncio
import stat
import threading
import time
from pathlib import Path

import pytest

from forestall.ports.entries import Sealed
from forestall.ports.output import ScannerBusyError, SealError
from forestall.server.files import FileAccessError
from forestall.server.keyring import KEYRING_FILE, listed, load_keyring, rotate
from forestall.server.thread_pools import ScanThreads


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    load_keyring(tmp_path)
    rotate(tmp_path)
    assert stat.S_IMODE((tmp_path / KEYRING_FILE).stat().st_mode) == 0o600


def test_what_is_sealed_opens_only_for_what_it_belongs_to(tmp_path: Path) -> None:
    ring = load_keyring(tmp_path)
    sealed = ring.seal(b"secret", bound_to=b"job-1")
    assert b"secret" not in sealed.box
    assert ring.open(sealed, bound_to=b"job-1") == b"secret"
    flipped = Sealed(sealed.key_id, sealed.nonce, bytes([sealed.box[0] ^ 1]) + sealed.box[1:])
    for wrong, bound in (
        (sealed, b"job-2"),
        (flipped, b"job-1"),
        (Sealed("other", sealed.nonce, sealed.box), b"job-1"),
        (Sealed(sealed.key_id, b"", sealed.box), b"job-1"),
    ):
        with pytest.raises(SealError):
            ring.open(wrong, bound_to=bound)


def test_equal_bytes_are_sealed_differently(tmp_path: Path) -> None:
    ring = load_keyring(tmp_path)
    boxes = {ring.seal(b"same", bound_to=b"j").box for _ in range(50)}
    assert len(boxes) == 50


def test_a_rotation_is_taken_up_and_the_correlation_stays(tmp_path: Path) -> None:
    ring = load_keyring(tmp_path)
    before, key = ring.seal(b"a", bound_to=b"j"), ring.correlation_key("t", "j")
    name = rotate(tmp_path)
    after = ring.seal(b"b", bound_to=b"j")
    assert (after.key_id, len(listed(tmp_path))) == (name, 2)
    assert ring.open(before, bound_to=b"j") == b"a"
    assert ring.correlation_key("t", "j") == key
    others = [("u", "j"), ("t", "k"), ("t\x00j", ""), ("", "t\x00j")]
    assert len({key, *(ring.correlation_key(*other) for other in others)}) == 5
    assert load_keyring(tmp_path).open(after, bound_to=b"j") == b"b"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"correlation":"AA==","keys":[]}'])
def test_a_broken_file_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEYRING_FILE).write_bytes(content)
    with pytest.raises(FileAccessError):
        load_keyring(tmp_path)
    assert (tmp_path / KEYRING_FILE).read_bytes() == content


@pytest.mark.parametrize("kind", ["a directory", "a link to nothing", "a loop of links"])
def test_a_file_that_cannot_be_read_says_what_to_do(tmp_path: Path, kind: str) -> None:
    """And nothing new is written in its place: what is sealed needs the old keys."""
    path = tmp_path / KEYRING_FILE
    if kind == "a directory":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "a loop of links" else tmp_path / "nowhere")
    for use in (load_keyring, listed, rotate):
        with pytest.raises(FileAccessError, match="put it back from a copy"):
            use(tmp_path)
    assert path.is_dir() or path.is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_a_scan_that_takes_too_long_is_given_up() -> None:
    """The loop goes on meanwhile, and the thread stops when it is asked to."""
    stopped = threading.Event()

    def work(expired: object) -> None:
        assert callable(expired)
        while not expired():
            time.sleep(0.005)
        time.sleep(1.5)  # as a pattern that does not ask
        stopped.set()

    async def run() -> None:
        threads = ScanThreads(seconds=0.05, at_once=1)
        with pytest.raises(TimeoutError):
            await threads.run(work)
        assert await threads.run(lambda expired: stopped.is_set())  # waits for the thread
        threads.close()

    asyncio.run(run())


def test_too_many_that_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX", "PER_TENANT_MAX", "PER_KEY_MAX"):
        monkeypatch.setattr(f"forestall.server.thread_pools.SCANS_WAITING_{name}", 1)
    go = threading.Event()

    async def run() -> None:
        threads = ScanThreads(at_once=1)
        first = asyncio.ensure_future(threads.run(lambda expired: go.wait(5)))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(threads.run(lambda expired: True))
        await asyncio.sleep(0)
        with pytest.raises(ScannerBusyError):
            await threads.run(lambda expired: True)
        go.set()
        assert await first
        assert await second
        threads.close()

    asyncio.run(run())
