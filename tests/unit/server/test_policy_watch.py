"""When a changed policy file is taken up: never while its writer may not be done."""

import os
from pathlib import Path

import pytest

from forestall.server.files import FileAccessError, policy_paths, policy_states, read_policy_files
from forestall.server.finished_writes import FinishedWrites
from forestall.server.policy_watch import AwaitedFile, FileState, PolicyWatch

SETTLE = 10.0
OLD = FileState(modified_ns=1, changed_ns=1, size_bytes=9, inode=7, target="/p/a.yaml")
HALF = OLD._replace(modified_ns=2, changed_ns=2, size_bytes=4)
WHOLE = OLD._replace(modified_ns=3, changed_ns=3, size_bytes=8)


def watch(**states: FileState) -> PolicyWatch:
    return PolicyWatch(states or {"a": OLD}, settle_s=SETTLE)


def test_nothing_changed() -> None:
    assert watch().look({"a": OLD}, at_s=0.0) is False


@pytest.mark.parametrize("pause_s", [0.5, 1.8, 5.0, 9.9])
def test_a_writer_that_pauses_is_waited_for(pause_s: float) -> None:
    """The half-written file is never taken up, however often one looks."""
    looks = watch()
    times = [number / 10 for number in range(int(pause_s * 10))]
    assert all(looks.look({"a": HALF}, at_s=at_s) is not True for at_s in times)
    assert looks.look({"a": WHOLE}, at_s=pause_s) == AwaitedFile("a", SETTLE)
    assert looks.look({"a": WHOLE}, at_s=pause_s + SETTLE - 0.1) is not True
    assert looks.look({"a": WHOLE}, at_s=pause_s + SETTLE + 0.1) is True
    looks.take({"a": WHOLE})
    assert looks.look({"a": WHOLE}, at_s=pause_s + SETTLE + 0.1) is False


def test_what_is_open_for_writing_is_waited_for_without_an_end() -> None:
    looks = watch()
    looks.look({"a": HALF}, at_s=0.0, being_written={"a"})
    assert looks.look({"a": HALF}, at_s=999.0, being_written={"a"}) == AwaitedFile("a", 0.0)


def test_a_file_renamed_into_place_is_complete() -> None:
    assert watch().look({"a": WHOLE}, at_s=0.0, renamed={"a"}) is True
    assert watch().look({"a": OLD, "b": WHOLE}, at_s=0.0, renamed={"b"}) is True


def test_one_file_that_is_not_complete_holds_up_the_others() -> None:
    changed = {"a": HALF, "b": WHOLE}
    assert watch().look(changed, at_s=0.0, renamed={"b"}) == AwaitedFile("a", SETTLE)


def test_a_final_marker_is_enough_once_the_writer_is_done() -> None:
    ended = WHOLE._replace(ends=True)
    assert watch().look({"a": ended}, at_s=0.0) is True
    assert watch().look({"a": ended}, at_s=0.0, being_written={"a"}) is not True


def test_a_folder_that_kubernetes_turned() -> None:
    behind = WHOLE._replace(target="/p/..2026_11_28/a.yaml")
    assert watch().look({"a": behind}, at_s=0.0) is True


def test_a_file_that_is_gone_is_waited_for_a_moment() -> None:
    """An editor moves the old file aside before it writes the new one."""
    looks = watch(a=OLD, b=OLD)
    assert looks.look({"b": OLD}, at_s=0.0) == AwaitedFile("a", 2.0)
    assert looks.look({"a": HALF, "b": OLD}, at_s=0.1) == AwaitedFile("a", SETTLE)
    looks = watch(a=OLD, b=OLD)
    looks.look({"b": OLD}, at_s=0.0)
    assert looks.look({"b": OLD}, at_s=2.0) is True


def test_a_change_that_was_taken_back_is_none() -> None:
    looks = watch()
    looks.look({"a": HALF}, at_s=0.0)
    assert looks.look({"a": OLD}, at_s=1.0) is False
    assert looks.look({"a": HALF}, at_s=50.0) == AwaitedFile("a", SETTLE)


# -- the disk --


def test_what_of_a_directory_is_policy(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", ".hidden.yaml", "c.yaml~", "#d.yaml#", ".e.yaml.swp", "f.txt"):
        (tmp_path / name).write_text("rules: []\n")
    (tmp_path / ".#a.yaml").symlink_to("nowhere")
    assert [each.name for each in policy_paths(tmp_path)] == ["a.yaml", "b.yml"]


def test_a_config_map_of_kubernetes(tmp_path: Path) -> None:
    folder = tmp_path / "..2026_11_28"
    folder.mkdir()
    (folder / "a.yaml").write_text("one\n")
    (tmp_path / "..data").symlink_to(folder.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    before = policy_states(tmp_path, {})
    assert read_policy_files(tmp_path) == [(str(tmp_path / "a.yaml"), b"one\n")]
    turned = tmp_path / "..2026_11_29"
    turned.mkdir()
    (turned / "a.yaml").write_text("two\n")
    (tmp_path / "..tmp").symlink_to(turned.name)
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    after = policy_states(tmp_path, before)
    assert PolicyWatch(before, settle_s=SETTLE).look(after, at_s=0.0) is True


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "a.yaml"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere")
    with pytest.raises(FileAccessError, match=r"a\.yaml"):
        read_policy_files(tmp_path)


def test_the_last_line_is_looked_for(tmp_path: Path) -> None:
    place = tmp_path / "a.yaml"
    for text, ends in (("x\n...\n", True), ("x\n...", True), ("x\n... y\n", False), ("x\n", False)):
        place.write_text(text)
        [state] = policy_states(place, {}).values()
        assert state.ends is ends, text


def test_the_kernel_tells_who_is_done(tmp_path: Path) -> None:
    writes = FinishedWrites(tmp_path)
    if not writes.is_known:
        pytest.skip("this system has no inotify")
    with (tmp_path / "a.yaml").open("wb") as file:
        file.write(b"half")
        file.flush()
        writes.look()
        assert (writes.being_written, writes.renamed) == ({"a.yaml"}, set())
    writes.look()
    assert writes.being_written == set()
    (tmp_path / "new").write_bytes(b"whole")
    (tmp_path / "new").replace(tmp_path / "a.yaml")
    writes.look()
    assert writes.renamed == {"a.yaml"}
    with (tmp_path / "a.yaml").open("ab") as file:
        file.write(b"more")
    writes.look()
    assert writes.renamed == set()
    writes.close()
    writes.look()
    assert not writes.is_known
