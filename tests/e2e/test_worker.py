"""`forestall worker run` against the real server: jobs run, stop, survive crashes, and end once."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import GUIDE_RULES, KEY, Server, forestall, poll, serving
from tests.e2e.test_bad_input import first_answer
from tests.e2e.worker_processes import HANDLERS, issue, job, submitted, until, working
from tests.http_samples import HELD_JOB

pytestmark = pytest.mark.e2e
SHORT = ("--lease-seconds", "1")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose leases last one second."""
    with serving(tmp_path_factory.mktemp("short") / "data", *SHORT) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.log, running.log[-4000:]


# -- the happy path --


@pytest.mark.parametrize("parallel", ["1", "8"])
def test_functions_run_and_their_results_are_kept(
    server: Server, tmp_path: Path, parallel: str
) -> None:
    jobs = [submitted(server, f"number {number}") for number in range(20)]
    with working(server, tmp_path, "plain", "--max-jobs", "20", "--parallel", parallel) as worker:
        assert worker.wait() == 0
        assert sorted(worker.ran) == sorted(jobs)
        assert "ended: 20 succeeded" in worker.log
    for number, job_id in enumerate(jobs):
        found = job(server, job_id)
        assert (found["state"], found["worker_id"], found["attempts"]) == ("SUCCEEDED", "w1", 1)
        wanted = {"prompt": f"number {number}", "attempt": 1, "topic": "job.demo.read"}
        assert found["result"] == wanted


def test_an_async_function_and_wait(server: Server, tmp_path: Path) -> None:
    with working(server, tmp_path, "gently", "--once") as worker:
        job_id = submitted(server, "look", context={"ä": [1, None]}, labels={"team": "ops"})
        env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
        done = forestall("jobs", "wait", job_id, "--timeout", "20", env=env)
        assert (done.returncode, worker.wait()) == (0, 0), done.stderr
    assert json.loads(done.stdout) == {"context": {"ä": [1, None]}, "labels": {"team": "ops"}}


@pytest.mark.parametrize(
    ("prompt", "code", "reason"),
    [
        ("exit", "worker_failed", "the handler raised SystemExit"),
        ("raise", "worker_failed", "the handler raised ValueError"),
        ("failure", "no_stock", "sold out"),
    ],
)
def test_what_a_handler_may_do_wrong(
    server: Server, tmp_path: Path, prompt: str, code: str, reason: str
) -> None:
    job_id = submitted(server, prompt)
    with working(server, tmp_path, "odd", "--once") as worker:
        assert worker.wait() == 0
    found = job(server, job_id)
    assert (found["state"], found["failure_code"]) == ("FAILED", code)
    assert reason in found["failure_reason"]
    assert "hunter2" not in json.dumps(found)
    assert worker.ran == [job_id]


@pytest.mark.parametrize(
    ("prompt", "result"),
    [
        ("set", [1, 2]),
        ("nan", "nan"),
        ("surrogate", "\\ud800"),
        ("nul", "\\u0000"),
        ("progress", "\\udcff"),
        ("large", "result_too_large"),
        ("larger", "result_too_large"),
        ("deep", "result_not_json"),
        ("itself", "result_not_json"),
        ("twice", "result_unreadable"),
    ],
)
def test_no_result_of_a_handler_is_lost(
    server: Server, tmp_path: Path, prompt: str, result: Any
) -> None:
    """The handler returned, so the job did not fail: it is kept, escaped, or withheld."""
    job_id = submitted(server, prompt)
    with working(server, tmp_path, "odd", "--once") as worker:
        assert worker.wait() == 0
    found = job(server, job_id)
    if found["state"] == "OUTPUT_QUARANTINED":
        assert found["output_safety"]["code"] == result
    else:
        assert (found["state"], found["result"]) == ("SUCCEEDED", result)
    assert (worker.ran, found["attempts"]) == ([job_id], 1)


def test_a_retryable_failure_is_tried_again(server: Server, tmp_path: Path) -> None:
    job_id = submitted(server, "retry")
    with working(server, tmp_path, "odd"):
        found = until(server, job_id, "SUCCEEDED")
    assert (found["attempts"], found["result"]) == (2, "fine")


def test_a_policy_that_was_tightened_stops_the_queued_job_and_says_why(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("default_decision: allow\n")
    with serving(tmp_path / "data", "--policy", str(policy)) as server:
        job_id = server.submit({"topic": "job.exec.shell", "prompt": "rm -rf /"}).json["job_id"]
        changed = tmp_path / "changed.yaml"
        changed.write_text(GUIDE_RULES)
        changed.replace(policy)  # a file that is written in place is waited for
        poll(lambda: "in force: 2 rules" in server.log, "the new policy")
        with working(server, tmp_path, "plain") as worker:
            found = until(server, job_id, "DENIED")
            assert worker.stop() == 0
            assert worker.ran == []
    assert found["failure_code"] == "policy_denied"
    assert found["failure_reason"] == "destructive command class blocked"
    assert found["safety_rule_id"] != "deny-destructive-exec"  # of the submit gate, which allowed


# -- stopping --


@pytest.mark.parametrize("function", ["long", "long_thread"])
def test_a_cancel_reaches_the_function_within_a_second(
    server: Server, tmp_path: Path, function: str
) -> None:
    job_id = submitted(server, "60")
    with working(server, tmp_path, function) as worker:
        found = until(server, job_id, "RUNNING")
        if function == "long":
            assert found["progress"] == {"message": "half way", "percent": 50}
        began = time.monotonic()
        assert server.ask("POST", f"/api/v1/jobs/{job_id}/cancel").json["state"] == "CANCELLED"
        poll(lambda: "cancelled" in worker.ran, "the function is told")
        assert time.monotonic() - began < 1.0
        again = submitted(server, "0")  # the worker lives on
        until(server, again, "SUCCEEDED")
        assert worker.stop() == 0
    assert job(server, job_id)["result"] is None


def test_sigterm_lets_a_running_job_end(server: Server, tmp_path: Path) -> None:
    job_id, later = submitted(server, "1"), submitted(server, "1")
    with working(server, tmp_path, "long") as worker:
        poll(lambda: "began" in worker.ran, "the first job runs")
        assert worker.stop() == 0
        assert worker.ran == ["began", "ended"]
    assert job(server, job_id)["state"] == "SUCCEEDED"
    assert job(server, later)["state"] == "PENDING"
    server.ask("POST", f"/api/v1/jobs/{later}/cancel")


@pytest.mark.parametrize("function", ["long", "deaf"])
def test_after_the_grace_a_job_fails_and_says_so(
    server: Server, tmp_path: Path, function: str
) -> None:
    job_id = submitted(server, "60")
    with working(server, tmp_path, function, "--grace", "0.2") as worker:
        poll(lambda: "began" in worker.ran, "the job runs")
        assert worker.stop(signal.SIGINT) == 0
    found = job(server, job_id)
    assert (found["state"], found["failure_code"]) == ("FAILED", "worker_stopped")


def test_an_idle_worker_ends_at_once_and_a_second_signal_ends_a_busy_one(
    server: Server, tmp_path: Path
) -> None:
    with working(server, tmp_path, "long") as worker:
        poll(lambda: "registered as worker w1" in worker.log, "registered")
        began = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began < 3.0
        assert "ended: no jobs" in worker.log
    job_id = submitted(server, "60")
    with working(server, tmp_path, "deaf") as worker:
        poll(lambda: "began" in worker.ran, "the job runs")
        worker.process.send_signal(signal.SIGINT)
        poll(lambda: "stopping" in worker.log.rpartition("registered")[2], "the first is seen")
        began = time.monotonic()
        assert worker.stop(signal.SIGINT) == -signal.SIGINT
        assert time.monotonic() - began < 1.0
    server.ask("POST", f"/api/v1/jobs/{job_id}/cancel")


# -- crashes --


def test_a_killed_worker_leaves_what_nobody_knows_to_a_person(
    short: Server, tmp_path: Path
) -> None:
    """At most once: only a job that says it is idempotent runs again."""
    once, again = submitted(short, "60"), submitted(short, "60", idempotent=True)
    with working(short, tmp_path, "long", "--parallel", "2") as worker:
        until(short, once, "RUNNING")
        until(short, again, "RUNNING")
        worker.end()
    parked = until(short, once, "TIMEOUT")
    assert parked["failure_code"] == "lease_expired"
    until(short, again, "RETRYING", "PENDING")
    env = {"FORESTALL_URL": short.url, "FORESTALL_API_KEY": KEY}
    listed = forestall("dlq", "list", env=env)
    assert f"{once}  TIMEOUT" in listed.stdout
    assert "lease_expired" in listed.stdout
    assert again not in listed.stdout
    with working(short, tmp_path, "long", name="w2") as second:
        found = until(short, again, "RUNNING")
        assert (found["attempts"], found["worker_id"]) == (2, "w2")
        assert second.ran == ["began", "began", "began"]
        assert forestall("jobs", "cancel", again, env=env).returncode == 0
    assert forestall("jobs", "cancel", again, env=env).returncode == 1
    retried = forestall("dlq", "retry", once, env=env)
    assert retried.stdout.startswith("ALLOW by rule allow-demo"), retried.stderr
    assert forestall("dlq", "dismiss", once, env=env).returncode == 3  # no dead letter any more
    assert forestall("dlq", "list", env=env).stderr.strip() == "no dead letters"


def test_leases_are_renewed_while_a_job_runs(short: Server, tmp_path: Path) -> None:
    job_id = submitted(short, "4")
    with working(short, tmp_path, "long_thread", "--max-jobs", "2") as worker:
        # The job that the test before this one retried may come first.
        assert until(short, job_id, "SUCCEEDED", "CANCELLED", seconds=90)["state"] == "SUCCEEDED"
        assert "took away" not in worker.log


def test_a_killed_server_finds_its_worker_again(tmp_path: Path) -> None:
    """The job that ran meanwhile is answered for, once, by the worker that ran it."""
    data = tmp_path / "data"
    with serving(data) as server:
        port = server.port
        job_id, quick = submitted(server, "4"), ""
        with working(server, tmp_path, "long", "--parallel", "2") as worker:
            until(server, job_id, "RUNNING")
            quick = submitted(server, "1.5")
            until(server, quick, "RUNNING")
            server.kill()
            poll(lambda: "ended" in worker.ran, "the quick job ends while nobody listens")
            listen = ("--listen", f"127.0.0.1:{port}", "--metrics-listen", "127.0.0.1:0")
            with serving(data, *listen, listen=False) as back:
                for name in (job_id, quick):
                    found = until(back, name, "SUCCEEDED", "TIMEOUT", "FAILED")
                    assert (found["state"], found["attempts"]) == ("SUCCEEDED", 1)
                more = submitted(back, "0")
                until(back, more, "SUCCEEDED")
                assert worker.stop() == 0
                assert worker.log.count("registered anew") == 1
                assert sorted(worker.ran) == ["began"] * 3 + ["ended"] * 3
                verified = forestall("audit", "verify", "--data-dir", str(data))
                assert verified.stdout.startswith("ok: "), verified.stdout
                assert back.stop() == 0


def test_a_revoked_worker_ends(server: Server, tmp_path: Path) -> None:
    job_id = submitted(server, "60")
    with working(server, tmp_path, "long", name="gone") as worker:
        until(server, job_id, "RUNNING")
        env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
        assert forestall("workers", "revoke", "gone", env=env).stdout == "revoked gone\n"
        assert worker.wait() == 3
        assert "its token is unknown, expired or revoked" in worker.log
        assert worker.ran == ["began", "cancelled"]
    server.ask("POST", f"/api/v1/jobs/{job_id}/cancel")


# -- the command line --


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("handlers", "--id", "w1"), 2, "write MODULE:FUNCTION"),
        (("nowhere:f", "--id", "w1"), 2, "there is no module `nowhere`"),
        (("handlers:nothing", "--id", "w1"), 2, "`handlers` has no `nothing`"),
        (("handlers:not_a_function", "--id", "w1"), 2, "is a int, not a function"),
        (("handlers:plain", "--id", "other"), 3, "belongs to a worker with another id"),
        (("handlers:plain", "--id", "w1", "--token", "fk_" + "0" * 64), 3, "unknown, expired"),
        (("handlers:plain", "--id", "w1", "--token", KEY), 3, "the token is not a worker's"),
        (("handlers:plain", "--id", "w1", "--token", ""), 2, "set FORESTALL_WORKER_TOKEN"),
        (("handlers:plain", "--id", "w1", "--url", "ftp://x"), 2, "write http://host:port"),
        (("handlers:plain", "--id", "w1", "--ticket-key", "AAAA"), 2, "is not a ticket key"),
        (("handlers:plain", "--id", "w1", "--ticket-key", "A" * 43), 3, "with another key"),
    ],
)
def test_errors_are_clear(
    server: Server, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    env = {"FORESTALL_URL": server.url, "FORESTALL_WORKER_TOKEN": issue(server, "w1")}
    done = forestall("worker", "run", *arguments, env=env, cwd=tmp_path)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code


def test_workers_are_listed_with_what_they_do(server: Server, tmp_path: Path) -> None:
    env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
    made = forestall(
        "workers", "create", "listed", "--topic", "job.demo.*", "--expires-in-days", "2", env=env
    )
    assert made.stdout.startswith("fk_")
    assert "job.demo.*" in made.stderr
    assert "listed                away" in forestall("workers", "list", env=env).stdout
    with working(server, tmp_path, "plain", "--parallel", "3", name="listed") as worker:
        poll(lambda: "registered" in worker.log, "it is there")
        assert "listed                runs 0 of 3" in forestall("workers", "list", env=env).stdout


def test_wait_says_how_a_job_ended(server: Server) -> None:
    env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
    queued = server.submit({"topic": "job.demo.wait", "prompt": "x"}).json["job_id"]
    held = server.submit(HELD_JOB).json["job_id"]
    denied = server.submit({"topic": "job.mail", "prompt": "x"}).json["job_id"]
    for job_id, code in ((queued, 6), (held, 5), (denied, 4)):
        done = forestall("jobs", "wait", job_id, "--timeout", "0.2", env=env)
        assert done.returncode == code, done.stderr
    assert forestall("jobs", "cancel", queued, env=env).returncode == 0
    assert forestall("jobs", "wait", queued, env=env).returncode == 1
    done = forestall("jobs", "remediate", denied, env=env)
    assert (done.returncode, "no remediations are offered" in done.stderr) == (3, True)


@pytest.mark.parametrize("value", ["0", "3601", "x", "-1", "1.5"])
def test_the_lease_has_bounds(tmp_path: Path, value: str) -> None:
    done = forestall("serve", "--data-dir", str(tmp_path / "d"), f"--lease-seconds={value}")
    assert (done.returncode, "`lease_seconds` is 1 to 3600" in done.stderr) == (2, True)
    assert not os.path.exists(tmp_path / "d")  # noqa: PTH110


def test_a_body_of_100_mb_is_refused_before_it_is_read(server: Server) -> None:
    token = issue(server, "huge")
    job_id = submitted(server, "x", labels={"for": "huge"})
    assert server.ask("POST", "/api/v1/workers/huge/register", {}, key=token).status == 200
    lease = server.ask("POST", "/api/v1/workers/huge/lease", {"limit": 64}, key=token).json
    given = next(each for each in lease["jobs"] if each["job_id"] == job_id)
    head = (
        f"POST /api/v1/jobs/{job_id}/result HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
    )
    reply = first_answer(server, head.encode() + b'{"lease_id":"' + b"x" * 2_000_000)
    assert (reply.status, reply.json["code"]) == (413, "tier_limit_exceeded")
    assert job(server, job_id)["state"] == "DISPATCHED"
    body = {"lease_id": given["lease_id"], "status": "succeeded"}
    done = server.ask("POST", f"/api/v1/jobs/{job_id}/result", body, key=token)
    assert done.json["state"] == "SUCCEEDED"
