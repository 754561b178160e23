"""How the server starts, what it leaves on disk, how it takes up policies and how it stops."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import pytest

from forestall.server.bootstrap import NoTelemetry, start
from forestall.server.settings import read_settings
from tests.e2e.harness import KEY, Server, StartFailedError, environment, forestall, poll, serving
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB

pytestmark = pytest.mark.e2e
EXPORT = re.compile(r"^  export FORESTALL_API_KEY=(\S+)$", re.MULTILINE)
ALLOW_DEMO = """\
rules:
  - id: {name}
    decision: {decision}
    match: {{topics: ["job.demo.*"]}}
"""
BROKEN = """\
rules:
  - id: a
    decision: allow
    match: {topics: ["job.demo.*"]}
    matches: {}
"""


def refused_start(data_dir: Path, *arguments: str, **options: object) -> StartFailedError:
    """How a start failed; it must fail, in one sentence and without a stack trace."""
    with pytest.raises(StartFailedError) as caught, serving(data_dir, *arguments, **options):
        pass
    assert "Traceback" not in caught.value.log
    assert "Ready." not in caught.value.said
    return caught.value


def put(policy: Path, text: str) -> None:
    """Change a policy as a careful editor does: whole or not at all."""
    partial = policy.with_suffix(".part")
    partial.write_text(text)
    partial.replace(policy)


def decided(server: Server) -> str:
    """Which rule decides a demo job now (empty: the default)."""
    return str(server.ask("POST", "/api/v1/policy/evaluate", ALLOWED_JOB).json["rule_id"])


# -- the first start --


def test_the_first_start_prints_the_key_once_and_never_again(tmp_path: Path) -> None:
    """The banner is its only place: not in the log, not in any file, not in a second banner."""
    data_dir = tmp_path / "data"
    with serving(data_dir, key=None) as server:
        keys = EXPORT.findall(server.banner)
        assert len(keys) == 1
        assert server.banner.count(keys[0]) == 1
        assert str(data_dir) in server.banner
        for body in (ALLOWED_JOB, DENIED_JOB, HELD_JOB):
            server.submit(body, key=keys[0])
        made = server.ask("POST", "/api/v1/auth/keys", {"name": "n", "role": "agent"}, key=keys[0])
        secrets = (keys[0], made.json["secret"])
        assert server.submit(ALLOWED_JOB, key=secrets[1]).status == 200
        running = [file.read_bytes() for file in data_dir.rglob("*") if file.is_file()]
        log = server.log
        server.stop()
    stopped = [file.read_bytes() for file in data_dir.rglob("*") if file.is_file()]
    assert len(running) >= 3
    for secret in secrets:
        assert not [content for content in running + stopped if secret.encode() in content]
        assert secret not in log
    with serving(data_dir, key=None) as again:
        assert not EXPORT.findall(again.banner)
        assert "fk_" not in again.banner
        assert again.submit(ALLOWED_JOB, key=keys[0]).status == 200


def test_what_is_on_disk_is_for_its_owner_only(tmp_path: Path) -> None:
    """0700 for the directory, 0600 for what holds state; nobody else can write the policy."""
    data_dir = tmp_path / "data"
    with serving(data_dir) as server:
        server.submit(ALLOWED_JOB)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()}
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    policy = modes.pop("policy.yaml")
    assert policy & 0o022 == 0
    assert "forestall.db" in modes
    assert set(modes.values()) == {0o600}


@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl"))), reason="pasting the commands needs bash and curl"
)
def test_the_printed_commands_show_an_allow_a_deny_and_a_hold(tmp_path: Path) -> None:
    """Pasted as printed, after the printed export line."""
    with serving(tmp_path / "data", key=None) as server:
        lines = server.banner.splitlines()
        export = next(line for line in lines if "export FORESTALL_API_KEY=" in line)
        commands = [line for line in lines if line.startswith("  curl ")]
        assert len(commands) == 3
        script = "\n".join([export, *(f"{command}; echo" for command in commands)])
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, env=environment(), text=True, check=False
        )
    shown = re.findall(r'"decision":"([A-Z_]+)"', done.stdout)
    assert (shown, done.stderr) == (["ALLOW", "DENY", "REQUIRE_APPROVAL"], "")
    assert '"rule_id":"deny-destructive-exec"' in done.stdout


def test_the_starter_policy_passes_its_own_tests(server: Server) -> None:
    """The file that a user will edit first is right, and says how to check it."""
    policy = str(server.data_dir / "policy.yaml")
    checked = forestall("policy", "check", policy)
    assert (checked.returncode, checked.stderr) == (0, "")
    tested = forestall("policy", "test", policy)
    assert (tested.returncode, tested.stderr) == (0, "")
    assert re.search(r"^[6-9] passed, 0 failed$", tested.stdout, re.MULTILINE)


# -- starts that fail --


def test_a_broken_policy_refuses_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit code 1, file, line and column, the key that was meant; no directory, no database."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(BROKEN)
    failed = refused_start(tmp_path / "data", "--policy", str(policy))
    assert failed.code == 1
    assert f"{policy}:5:5: " in failed.log
    assert "did you mean `match`?" in failed.log
    assert not (tmp_path / "data").exists()


def test_a_missing_policy_refuses_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    """One sentence that says what to do."""
    failed = refused_start(tmp_path / "data", "--policy", str(tmp_path / "nowhere.yaml"))
    assert failed.code != 0
    assert failed.log.startswith("error: there is no policy at ")
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_is_named(server: Server, tmp_path: Path) -> None:
    """Exit code 3, the address and the flag; for both doors; nothing left behind."""
    for flag, port in (("--listen", server.port), ("--metrics-listen", server.metrics_port)):
        failed = refused_start(tmp_path / "data", flag, f"127.0.0.1:{port}")
        assert failed.code == 3
        why = f"error: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert failed.log.startswith(why)
        assert failed.log.endswith(f"; choose another address with {flag}\n")
        assert not (tmp_path / "data").exists()


def test_a_data_directory_in_use_is_left_alone(server: Server) -> None:
    """Exit code 3 and one sentence; the server that holds it goes on."""
    failed = refused_start(server.data_dir)
    assert failed.code == 3
    assert failed.log == (
        f"error: another Forestall process is using {server.data_dir};"
        " stop it first, or ask it over HTTP\n"
    )
    assert server.submit(ALLOWED_JOB).status == 200


def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file where the directory should be, or above it."""
    (tmp_path / "file").write_text("")
    for data_dir in (tmp_path / "file", tmp_path / "file" / "data"):
        failed = refused_start(data_dir, cwd=tmp_path)
        assert failed.code != 0
        assert failed.log.startswith(f"error: cannot use the data directory {data_dir}: ")


def test_a_foreign_file_in_place_of_the_database_is_left_alone(tmp_path: Path) -> None:
    """Neither noise nor somebody else's SQLite file is written to."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    database = data_dir / "forestall.db"
    database.write_bytes(b"not a database at all" * 99)
    assert refused_start(data_dir).code == 3
    assert database.read_bytes() == b"not a database at all" * 99
    database.unlink()
    with contextlib.closing(sqlite3.connect(database)) as theirs:
        theirs.execute("CREATE TABLE theirs (x)")
        theirs.commit()
    before = database.read_bytes()
    assert refused_start(data_dir).code == 3
    assert database.read_bytes() == before


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"])
def test_a_bad_address_is_named(tmp_path: Path, address: str) -> None:
    """Said in one sentence with what would be right, before anything is touched."""
    failed = refused_start(tmp_path / "data", "--listen", address)
    assert failed.log.startswith("error: `listen` is host:port, such as 127.0.0.1:8081, not ")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listne = '127.0.0.1:0'\n", "unknown setting `listne`"),
        ("listen = 8081\n", "`listen` is a text in quotes"),
        ("listen = \n", "cannot be read as TOML"),
        ("listen = 'x'\nlisten = 'y'\n", "cannot be read as TOML"),
        ("bootstrap_key = 'x'\n", "unknown setting `bootstrap_key`"),
    ],
)
def test_a_bad_settings_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Strict like the policy: a setting that is mistyped would otherwise be a default."""
    (tmp_path / "forestall.toml").write_text(text)
    failed = refused_start(tmp_path / "data", cwd=tmp_path)
    assert failed.log.startswith(f"error: {tmp_path / 'forestall.toml'}: ")
    assert said in failed.log


def test_a_wrong_setting_is_wrong_usage(tmp_path: Path) -> None:
    """Exit code 2 as cli/main.py documents it, whether flag, variable or file is wrong."""
    data_dir = tmp_path / "data"
    codes = [
        refused_start(data_dir, "--listen", "nowhere").code,
        refused_start(data_dir, env={"FORESTALL_METRICS_LISTEN": "x"}, listen=False).code,
    ]
    (tmp_path / "forestall.toml").write_text("listne = ''\n")
    codes.append(refused_start(data_dir, cwd=tmp_path).code)
    assert codes == [2, 2, 2]


def test_a_weak_bootstrap_key_is_refused(tmp_path: Path) -> None:
    """It is stored unsalted, so it must not be guessable; it is not repeated either."""
    for key in ("x" * 31, "two words " * 9, "é" * 40):
        failed = refused_start(tmp_path / "data", key=key)
        assert failed.code == 2
        assert "bootstrap key must" in failed.log
        assert key not in failed.log
        assert not (tmp_path / "data").exists()


def test_flag_goes_over_environment_over_file(tmp_path: Path) -> None:
    """Each setting is a flag, a variable and a key of forestall.toml."""
    for name in ("file", "env", "flag"):
        text = ALLOW_DEMO.format(name=f"from-{name}", decision="allow")
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "forestall.toml").write_text(
        'listen = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\npolicy = "file.yaml"\n'
    )
    env = {"FORESTALL_POLICY": "env.yaml"}
    for expected, arguments, extra in (
        ("from-flag", ("--policy", "flag.yaml"), env),
        ("from-env", (), env),
        ("from-file", (), {}),
    ):
        data_dir = tmp_path / expected
        with serving(data_dir, *arguments, env=extra, cwd=tmp_path, listen=False) as server:
            assert decided(server) == expected


# -- reload --


def test_a_changed_policy_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """A good change within seconds; a broken one keeps the old, is counted, logged, recorded."""
    policy = tmp_path / "policy.yaml"
    put(policy, ALLOW_DEMO.format(name="one", decision="allow"))
    with serving(tmp_path / "data", "--policy", str(policy)) as server:
        assert decided(server) == "one"
        put(policy, ALLOW_DEMO.format(name="two", decision="deny"))
        poll(lambda: decided(server) == "two", "the changed policy is in force")
        assert server.submit(ALLOWED_JOB).status == 403
        assert server.metric("forestall_policy_refused_total") == 0

        put(policy, BROKEN)
        refused = "forestall_policy_refused_total"
        poll(lambda: server.metric(refused) >= 1, "the broken change is counted")
        assert decided(server) == "two"
        assert "NOT taken up" in server.log
        assert f"{policy}:5:5: " in server.log
        policy.unlink()
        poll(lambda: server.metric(refused) >= 2, "the missing file is counted")
        assert decided(server) == "two"

        put(policy, ALLOW_DEMO.format(name="three", decision="allow"))
        poll(lambda: decided(server) == "three", "the mended policy is in force")
        snapshots = server.ask("GET", "/api/v1/policy/snapshots").json
        assert [one["in_force"] for one in snapshots] == [True, False, False]
        assert "Traceback" not in server.log


def test_a_policy_directory_is_followed(tmp_path: Path) -> None:
    """A file that comes or goes is a change; the strictest layer stands."""
    policies = tmp_path / "policies"
    policies.mkdir()
    put(policies / "a.yaml", ALLOW_DEMO.format(name="allow-a", decision="allow"))
    with serving(tmp_path / "data", "--policy", str(policies)) as server:
        assert decided(server) == "allow-a"
        put(policies / "b.yaml", ALLOW_DEMO.format(name="deny-b", decision="deny"))
        poll(lambda: decided(server) == "deny-b", "the second file is in force")
        (policies / "b.yaml").unlink()
        poll(lambda: decided(server) == "allow-a", "the second file is gone")


def test_a_half_written_policy_is_waited_for(tmp_path: Path) -> None:
    """The writer pauses with half of the file written, and is waited for until it is done."""
    policy = tmp_path / "policy.yaml"
    put(policy, ALLOW_DEMO.format(name="one", decision="allow"))
    whole = ALLOW_DEMO.format(name="two", decision="allow") + ALLOW_DEMO.format(
        name="three", decision="deny"
    ).removeprefix("rules:\n")
    begin = ALLOW_DEMO.format(name="two", decision="allow")
    settle = ("--policy-settle-seconds", "4")  # long enough for a slow machine to see it
    with serving(tmp_path / "data", "--policy", str(policy), *settle) as server:
        waiting = "forestall_policy_waiting"
        with policy.open("w") as file:
            file.write(begin)
            file.flush()
            poll(lambda: server.metric(waiting) == 1, "the server says that it waits")
            assert "policy.yaml changed in place" in server.log
            file.write(whole.removeprefix(begin))
        poll(lambda: "in force: 2 rules" in server.log, "the whole file is taken up")
        assert "in force: 1 rules" not in server.log.partition("changed in place")[2]
        poll(lambda: server.metric(waiting) == 0, "nothing is waited for")
        with policy.open("a") as file:
            file.write("# a comment, and the end of the document\n...\n")
        put(policy, ALLOW_DEMO.format(name="four", decision="allow"))
        poll(lambda: decided(server) == "four", "a renamed file is taken up")


def test_a_policy_that_changes_during_the_start_is_taken_up(tmp_path: Path) -> None:
    """The files are followed from before they are read, so no change falls between."""
    policy = tmp_path / "policy.yaml"
    put(policy, ALLOW_DEMO.format(name="one", decision="allow"))
    options = {"data_dir": str(tmp_path / "data"), "policy": str(policy)}

    async def look() -> None:
        started = await start(read_settings(options, {}, tmp_path), NoTelemetry())
        try:
            assert started.follower.look() is False
            put(policy, ALLOW_DEMO.format(name="two", decision="deny"))
            assert started.follower.look() is True
        finally:
            await started.close()

    asyncio.run(look())


def test_sighup_reads_the_policy_again(tmp_path: Path) -> None:
    """Also when the file looks unchanged (same size, same time); and it does not end the server."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(ALLOW_DEMO.format(name="one", decision="allow"))
    with serving(tmp_path / "data", "--policy", str(policy)) as server:
        before = policy.stat()
        with policy.open("r+b") as file:
            file.write(ALLOW_DEMO.format(name="two", decision="allow").encode())
        os.utime(policy, ns=(before.st_atime_ns, before.st_mtime_ns))
        server.process.send_signal(signal.SIGHUP)
        poll(lambda: decided(server) == "two", "SIGHUP takes up the policy")
        assert server.alive


# -- stop --


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_quick(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0 within seconds although clients keep connections open; one database file."""
    data_dir = tmp_path / "data"
    with serving(data_dir) as server, contextlib.ExitStack() as held:
        job_id = server.submit(ALLOWED_JOB).json["job_id"]
        for _ in range(5):
            idle = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        code = server.stop(number)
        assert time.monotonic() - started < 8
        assert code == 0, server.log[-2000:]
        assert "Traceback" not in server.log
    assert not list(data_dir.glob("*-wal")), "the store was not closed"
    with serving(data_dir) as again:
        assert again.ask("GET", f"/api/v1/jobs/{job_id}").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_right_after_the_start_is_clean_as_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    """ "Ready." means ready, for a signal too: a supervisor may change its mind at once."""
    with serving(tmp_path / "data") as server:
        assert server.stop(number) == 0, server.log[-2000:]
    assert not list((tmp_path / "data").glob("*-wal")), "the store was not closed"


def test_a_directory_is_free_again_after_kill_9(tmp_path: Path) -> None:
    """No stale lock: the next start needs no help."""
    data_dir = tmp_path / "data"
    with serving(data_dir) as server:
        job_id = server.submit(HELD_JOB).json["job_id"]
        server.kill()
    with serving(data_dir) as again:
        assert again.ask("GET", f"/api/v1/jobs/{job_id}").json["state"] == "APPROVAL_REQUIRED"


# -- metrics --


def test_the_metrics_are_there_at_0_and_stay_bounded(tmp_path: Path) -> None:
    """The guide's names before any event; 300 topics make one label value; no payload, no key."""
    names = [
        *(f"cordum_output_policy_{what}_total" for what in ("checked", "quarantined", "redacted")),
        "cordum_input_fail_open_total",
        "forestall_policy_refused_total",
        "forestall_policy_waiting",
        'forestall_policy_unavailable_total{stage="submit"}',
        'forestall_policy_unavailable_total{stage="check"}',
    ]
    with serving(tmp_path / "data") as server:
        first = server.metrics().splitlines()
        for name in names:
            assert f"{name} 0.0" in first, name
        secret = "hunter2-in-a-payload"
        for number in range(300):
            body = {"topic": f"job.t{number}.x", "prompt": secret, "labels": {"a": secret}}
            assert server.submit(body).status == 403
            server.ask("GET", f"/api/v1/jobs/{number}")
            server.ask("GET", f"/nowhere/{number}")
        server.submit(ALLOWED_JOB)
        text = server.metrics()
    assert set(re.findall(r'topic="([^"]*)"', text)) == {"other", "job.demo.*"}
    other = 'forestall_decisions_total{code="default",decision="deny",stage="submit",topic="other"}'
    assert f"{other} 300.0" in text
    assert len(set(re.findall(r'route="([^"]*)"', text))) < 20
    for word in (secret, KEY, "job.t1"):
        assert word not in text
