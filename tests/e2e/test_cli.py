"""The command line as people and CI use it: outcomes, exit codes, JSON, and no stack trace ever.

Exit codes as src/forestall/cli/main.py documents them: 0 done, 1 a check failed, 2 wrong usage or
input, 3 the server cannot be reached or refuses, 4 denied, 5 awaits approval, 130 interrupted.
"""

import json
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    FORESTALL,
    GUIDE_RULES,
    KEY,
    Server,
    environment,
    forestall,
    poll,
    serving,
)
from tests.http_samples import ALLOWED_JOB

pytestmark = pytest.mark.e2e
DEMO = ("--topic", "job.demo.read", "--prompt", "status")
SHELL = ("--topic", "job.exec.shell", "--prompt", "rm -rf /")
HELD = ("--topic", "job.deploy.apply", "--prompt", "go", "--capability", "infra.write")
PROD = (*HELD, "--label", "env=prod")
OUTCOMES = [(DEMO, "ALLOW", 0), (SHELL, "DENY", 4), (PROD, "REQUIRE_APPROVAL", 5)]
NEEDS_SERVER = [
    ("simulate", *DEMO),
    ("explain", *DEMO),
    ("jobs", "submit", *DEMO),
    ("jobs", "get", "x"),
    ("jobs", "list"),
    ("keys", "create", "n", "--role", "viewer"),
    ("keys", "list"),
    ("keys", "revoke", "x"),
]


def call(server: Server, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command with the address and the key of the server in its environment."""
    env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": server.key, **options.pop("env", {})}
    done = forestall(*arguments, env=env, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def offline(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The command with neither server nor key."""
    done = forestall(*arguments, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def guide(tmp_path: Path) -> str:
    """A file with the guide's two rules."""
    path = tmp_path / "guide.yaml"
    path.write_text(GUIDE_RULES)
    return str(path)


# -- help --


def test_every_command_explains_itself() -> None:
    """`--help` works without a server, a key or a policy, and names the exit codes."""
    top = offline("--help")
    assert "Exit codes: 0 done" in top.stdout
    groups = ["serve", "policy", "simulate", "explain", "jobs", "keys", "audit"]
    for group in groups:
        assert f"\n  {group} " in top.stdout
    for command in ("serve", "policy check", "simulate", "jobs submit", "keys create"):
        done = offline(*command.split(), "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: forestall {command} ")
    assert offline("--version").stdout.startswith("forestall, version ")


@pytest.mark.parametrize(
    "arguments",
    [("nope",), ("jobs", "nope"), ("--nope",), ("jobs", "get"), ("keys", "create", "n"),
     ("keys", "create", "n", "--role", "root"), ("policy", "check"),
     ("jobs", "list", "--limit", "x"), ("policy", "check", "/nowhere.yaml"),
     ("simulate", "--expect", "maybe"), ("simulate",)],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """Said on stderr, nothing on stdout."""
    done = offline(*arguments, env={"FORESTALL_API_KEY": KEY})
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


# -- policy --


def test_policy_check_and_test(guide: str, tmp_path: Path) -> None:
    """A good file is 0; a broken one is 1 with file, line, column and what was meant."""
    assert offline("policy", "check", guide).stdout.startswith("ok: 2 rules in guide, snapshot ")
    report = json.loads(offline("policy", "check", guide, "--json").stdout)
    assert (report["ok"], report["rules"], report["problems"]) == (True, 2, [])
    untested = offline("policy", "test", guide)
    assert (untested.returncode, "there are no `tests`" in untested.stderr) == (1, True)

    broken = tmp_path / "broken.yaml"
    broken.write_text(GUIDE_RULES.replace("decision: deny", "decison: deny"))
    done = offline("policy", "check", str(broken))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{broken}:3:5: " in done.stderr
    assert "did you mean `decision`?" in done.stderr
    report = json.loads(offline("policy", "check", str(broken), "--json").stdout)
    assert report["ok"] is False
    assert {(one["line"], one["column"]) for one in report["problems"]} >= {(3, 5)}
    done = offline("policy", "test", str(broken))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(rf"{broken}:\d+:\d+: ", done.stderr)


def test_policy_tests_that_fail_say_what_came(guide: str, tmp_path: Path) -> None:
    """Exit code 1, the case, what was wanted, what came and the line."""
    tested = tmp_path / "tested.yaml"
    cases = """\
tests:
  - name: right
    request: {topic: job.exec.shell, prompt: "rm -rf /"}
    want: {decision: deny, rule_id: deny-destructive-exec}
  - name: wrong
    request: {topic: job.exec.shell, prompt: "ls"}
    want: {decision: allow}
"""
    tested.write_text(GUIDE_RULES + cases)
    done = offline("policy", "test", str(tested))
    assert done.returncode == 1
    assert "ok     right\nFAILED wrong\n       wanted allow, got deny" in done.stdout
    assert "1 passed, 1 failed" in done.stdout
    report = json.loads(offline("policy", "test", str(tested), "--json").stdout)
    assert (report["passed"], report["failed"]) == (1, 1)


def test_a_policy_directory_is_read_whole(guide: str, tmp_path: Path) -> None:
    """Every YAML file of it; an empty one is an error; so is a file that cannot be read."""
    folder = tmp_path / "policies"
    folder.mkdir()
    empty = offline("policy", "check", str(folder))
    assert (empty.returncode, "there is no .yaml file in" in empty.stderr) == (2, True)
    (folder / "a.yaml").write_text(GUIDE_RULES)
    (folder / "b.yml").write_text(
        'rules:\n  - {id: b, decision: allow, match: {topics: ["job.b"]}}\n'
    )
    (folder / "notes.txt").write_text("not: [a policy")
    assert "3 rules" in offline("policy", "check", str(folder)).stdout
    done = offline("simulate", "--policy", str(folder), "--topic", "job.b")
    assert done.stdout.startswith("ALLOW by rule b\n")
    (folder / "c.yaml").mkdir()
    done = offline("policy", "check", str(folder))
    assert (done.returncode, "cannot read" in done.stderr) == (2, True)
    done = offline("simulate", "--policy", str(folder), "--topic", "job.b")
    assert done.returncode != 0
    assert done.stderr.startswith("error: cannot read the policy")


# -- simulate and explain --


@pytest.mark.parametrize("verb", ["simulate", "explain"])
@pytest.mark.parametrize(("action", "word", "_code"), OUTCOMES, ids=[one[1] for one in OUTCOMES])
def test_offline_answers_as_the_server_does(
    server: Server, verb: str, action: tuple[str, ...], word: str, _code: int
) -> None:
    """The same policy gives the same answer with and without a server, and exit code 0."""
    policy = str(server.data_dir / "policy.yaml")
    without = offline(verb, "--policy", policy, *action, "--json")
    with_server = call(server, verb, *action, "--json")
    assert without.returncode == with_server.returncode == 0
    answers = [json.loads(done.stdout) for done in (without, with_server)]
    for answer in answers:
        assert answer["decision"] == word
        for varying in ("evaluated_at", "job_hash"):  # the principal is the server's to say
            answer.pop(varying)
        answer.get("explain", {}).get("effective_input", {}).pop("actor_id", None)
    assert answers[0] == answers[1]
    said = call(server, verb, *action).stdout
    assert said.startswith(word)
    assert ("rules, nearest first:" in said) is (verb == "explain")


def test_expect_is_for_ci(guide: str) -> None:
    """0 when the decision is the expected one, 1 when not; any case."""
    base = ("simulate", "--policy", guide, *SHELL)
    assert offline(*base, "--expect", "deny").returncode == 0
    assert offline(*base, "--expect", "DENY").returncode == 0
    done = offline(*base, "--expect", "allow")
    assert (done.returncode, "expected ALLOW, got DENY" in done.stderr) == (1, True)
    done = offline(*base, "--expect", "allow", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["decision"] == "DENY"


def test_a_request_comes_from_a_file_or_standard_input(guide: str, tmp_path: Path) -> None:
    """The options go over it; labels are merged."""
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"topic": "job.deploy.apply", "labels": {"env": "dev"}}))
    base = ("simulate", "--policy", guide, "--capability", "infra.write")
    assert offline(*base, "--request", str(request)).stdout.startswith("DENY by default")
    prod = offline(*base, "--request", str(request), "--label", "env=prod")
    assert prod.stdout.startswith("REQUIRE_APPROVAL by rule require-approval-prod-write")
    piped = offline(*base, "--request", "-", stdin=request.read_bytes().replace(b"dev", b"prod"))
    assert piped.stdout.startswith("REQUIRE_APPROVAL")
    context = ("--topic", "job.exec.shell", "--context", "-")
    done = offline("simulate", "--policy", guide, *context, stdin=b'{"command":"rm -rf /"}')
    assert done.stdout.startswith("DENY by rule deny-destructive-exec")


BAD_REQUESTS = {
    "not JSON": b"{",
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "an array": b"[]",
    "key twice": b'{"topic":"job.a","topic":"job.b"}',
    "surrogate": b'{"topic":"job.a","prompt":"\\ud800"}',
    "deep": b'{"topic":"job.a","context":' + b"[" * 100_000,
    "labels a list": b'{"topic":"job.a","labels":[]}',
    "labels a text": b'{"topic":"job.a","labels":"x"}',
    "no topic": b"{}",
    "topic a number": b'{"topic":5}',
    "unknown priority": b'{"topic":"job.a","priority":"now"}',
}


@pytest.mark.parametrize("text", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_is_wrong_input(guide: str, text: bytes) -> None:
    """Exit code 2, one sentence, whatever stands in the file; with an option over it as well."""
    for more in ((), ("--label", "a=b")):
        done = forestall("simulate", "--policy", guide, "--request", "-", *more, stdin=text)
        assert "Traceback" not in done.stderr, done.stderr[-600:]
        assert (done.returncode, done.stdout) == (2, "")
        assert re.search("^[Ee]rror: ", done.stderr, re.MULTILINE)


def test_null_labels_in_a_request_take_a_label_option(guide: str) -> None:
    """null reads as absent here as it does on the wire."""
    text = b'{"topic":"job.deploy.apply","capability":"infra.write","labels":null}'
    arguments = ("simulate", "--policy", guide, "--request", "-", "--label", "env=prod")
    done = forestall(*arguments, stdin=text)
    assert "Traceback" not in done.stderr, done.stderr[-600:]
    assert done.stdout.startswith("REQUIRE_APPROVAL")


def test_what_cannot_be_read_is_wrong_input(guide: str, tmp_path: Path) -> None:
    """A missing file, a directory, a label without `=`."""
    base = ("simulate", "--policy", guide)
    for arguments in (
        ("--request", str(tmp_path / "nowhere.json")),
        ("--request", str(tmp_path)),
        ("--topic", "job.a", "--label", "novalue"),
        ("--topic", "job.a", "--label", "=x"),
        ("--topic", "job.a", "--context", "{"),
        ("--topic", "job.a", "--label", "_x=1"),
        ("--topic", "nojob"),
    ):
        done = offline(*base, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments


# -- jobs --


@pytest.mark.parametrize(("action", "word", "code"), OUTCOMES, ids=[one[1] for one in OUTCOMES])
def test_a_submission_ends_with_the_code_of_its_outcome(
    server: Server, action: tuple[str, ...], word: str, code: int
) -> None:
    """0 accepted, 4 denied, 5 held; the job can be read back, by people and by programs."""
    said = call(server, "jobs", "submit", *action)
    assert said.returncode == code
    assert said.stdout.startswith(f"{word} by rule ")
    done = call(server, "jobs", "submit", *action, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["decision"]) == (code, word)
    job = call(server, "jobs", "get", answer["job_id"])
    assert job.stdout.startswith(f"{answer['job_id']}  {answer['state']}\n")
    assert f"\n  submit   {word} by " in job.stdout
    whole = json.loads(call(server, "jobs", "get", answer["job_id"], "--json").stdout)
    assert [one["decision"] for one in whole["decisions"]] == [word]


def test_an_idempotency_key_works_from_the_command_line(server: Server) -> None:
    """The same answer twice; another action under the key is refused by the server."""
    keyed = ("jobs", "submit", "--idempotency-key", "cli-1", "--json")
    first, second = (json.loads(call(server, *keyed, *SHELL).stdout) for _ in range(2))
    assert first["job_id"] == second["job_id"]
    done = call(server, *keyed, *DEMO)
    assert (done.returncode, json.loads(done.stderr)["code"]) == (3, "IDEMPOTENCY_CONFLICT")


def test_jobs_are_listed_newest_first(server: Server) -> None:
    """Filters, limits and pages; an empty list is not an error."""
    ids = [server.submit({**ALLOWED_JOB, "topic": "job.demo.cli"}).json["job_id"] for _ in range(3)]
    listed = ("jobs", "list", "--topic", "job.demo.cli")
    done = call(server, *listed, "--json")
    assert [job["id"] for job in json.loads(done.stdout)["items"]] == ids[::-1]
    assert [line.split()[0] for line in call(server, *listed).stdout.splitlines()] == ids[::-1]
    done = call(server, *listed, "--limit", "2", "--state", "pending", "--json")
    assert [job["id"] for job in json.loads(done.stdout)["items"]] == ids[:0:-1]
    none = call(server, *listed, "--state", "RUNNING")
    assert (none.returncode, none.stdout) == (0, "")
    wrong = call(server, "jobs", "list", "--state", "nope")
    assert (wrong.returncode, "`state` is one of" in wrong.stderr) == (3, True)


def test_an_unknown_job_is_refused_by_the_server(server: Server) -> None:
    """Exit code 3 and the server's sentence; ids of any shape travel safely."""
    for job_id in ("nope", "..", "a/b", "a?b#c", "%00", "\u202e", "x" * 3_000):
        done = call(server, "jobs", "get", job_id)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("error: ")


def test_what_a_client_wrote_cannot_command_a_terminal(server: Server) -> None:
    """Escapes are shown as replacement characters; a line break cannot forge a line."""
    body = {
        **ALLOWED_JOB,
        "capability": "\x1b]0;owned\x07\x1b[2J",
        "labels": {"\x9b31m": "\x1b[31m\u202e", "forged": "x\n  submit   DENY by nobody"},
    }
    job_id = server.submit(body).json["job_id"]
    done = call(server, "jobs", "get", job_id)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
    decisions = [line for line in done.stdout.splitlines() if line.startswith("  submit ")]
    assert len(decisions) == 1


# -- keys --


def test_keys_are_made_listed_and_ended(server: Server) -> None:
    """The key alone goes to stdout, so that a script can take it."""
    made = call(server, "keys", "create", "cli-key", "--role", "viewer", "--expires-in-days", "7")
    secret = made.stdout.strip()
    assert re.fullmatch("fk_[0-9a-f]{64}", secret)
    assert "cli-key (viewer, tenant default)" in made.stderr
    assert server.ask("GET", "/api/v1/jobs", key=secret).status == 200
    listed = call(server, "keys", "list").stdout
    assert secret not in listed
    assert f"{secret[:11]}  viewer    active   cli-key  as cli-key" in listed
    items = json.loads(call(server, "keys", "list", "--json").stdout)["items"]
    (key_id,) = [one["id"] for one in items if one["name"] == "cli-key"]
    again = call(server, "keys", "create", "cli-key", "--role", "viewer")
    assert (again.returncode, again.stdout) == (3, "")
    assert call(server, "keys", "revoke", key_id).stdout == f"revoked {key_id}\n"
    assert server.ask("GET", "/api/v1/jobs", key=secret).status == 401
    assert call(server, "keys", "revoke", key_id, "--json").returncode == 3
    denied = call(server, "keys", "list", env={"FORESTALL_API_KEY": secret})
    assert (denied.returncode, denied.stdout) == (3, "")
    made_json = json.loads(call(server, "keys", "create", "k2", "--role", "agent", "--json").stdout)
    assert made_json["secret"].startswith(made_json["key"]["prefix"])


def test_keys_of_a_stopped_server_and_of_a_second_tenant(tmp_path: Path) -> None:
    """The way back in, and the way to a new tenant; refused while a server runs."""
    data_dir = tmp_path / "data"
    local = ("--data-dir", str(data_dir))
    with serving(data_dir) as server:
        refused = offline("keys", "create", "n", "--role", "admin", *local)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert "another Forestall process is using" in refused.stderr
        server.stop()
    made = offline("keys", "create", "ops", "--role", "admin", "--tenant", "acme", *local)
    assert (made.returncode, "tenant acme" in made.stderr) == (0, True)
    back = offline("keys", "create", "back", "--role", "admin", *local, "--json")
    listed = json.loads(offline("keys", "list", *local, "--tenant", "acme", "--json").stdout)
    assert [one["name"] for one in listed["items"]] == ["ops"]
    gone = json.loads(back.stdout)
    assert offline("keys", "revoke", gone["key"]["id"], *local).returncode == 0
    with serving(data_dir) as server:
        acme = made.stdout.strip()
        theirs = {"X-Tenant-ID": "acme"}
        assert server.ask("GET", "/api/v1/jobs", key=acme, headers=theirs).status == 200
        assert server.ask("GET", "/api/v1/jobs", key=acme).status == 403
        assert server.ask("GET", "/api/v1/jobs", key=gone["secret"]).status == 401
        env = {"FORESTALL_API_KEY": acme, "FORESTALL_TENANT": "default"}
        assert call(server, "jobs", "list", env=env).returncode == 3
        assert call(server, "jobs", "list", env={**env, "FORESTALL_TENANT": "acme"}).returncode == 0


def test_a_directory_that_is_not_ours_is_not_made_ours(tmp_path: Path) -> None:
    """Listing keys in a wrong directory is a mistake to be told, not a new database."""
    done = offline("keys", "list", "--data-dir", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert done.returncode == 2


# -- no server, no key, a wrong key --


@pytest.mark.parametrize("arguments", NEEDS_SERVER, ids=lambda parts: " ".join(parts[:2]))
def test_without_a_key_without_a_server_with_a_wrong_key(
    server: Server, arguments: tuple[str, ...]
) -> None:
    """2 with what to set; 3 with where nobody answers; 3 with the server's refusal."""
    none = offline(*arguments)
    assert (none.returncode, none.stdout) == (2, "")
    assert "no API key: set FORESTALL_API_KEY" in none.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    env = {"FORESTALL_URL": f"http://127.0.0.1:{port}", "FORESTALL_API_KEY": KEY}
    nobody = offline(*arguments, env=env)
    assert (nobody.returncode, nobody.stdout) == (3, "")
    assert nobody.stderr.startswith(f"error: no answer from http://127.0.0.1:{port}: ")
    assert nobody.stderr.count("\n") == 1
    assert KEY not in nobody.stderr
    wrong = call(server, *arguments, "--json", env={"FORESTALL_API_KEY": "fk_wrong"})
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert json.loads(wrong.stderr)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "env",
    [
        {"FORESTALL_URL": "nowhere"},
        {"FORESTALL_URL": "ftp://127.0.0.1"},
        {"FORESTALL_URL": "http://"},
        {"FORESTALL_URL": "http://127.0.0.1:99999"},
        {"FORESTALL_URL": "http://127.0.0.1:x"},
        {"FORESTALL_URL": "http://[::1"},
        {"FORESTALL_API_KEY": f"{KEY}\n"},
        {"FORESTALL_API_KEY": "schlüssel-€"},
        {"FORESTALL_TENANT": "a\r\nX-Evil: 1"},
    ],
    ids=str,
)
def test_an_odd_address_or_key_is_one_sentence(server: Server, env: dict[str, str]) -> None:
    """Never a stack trace; a line break in a header value never travels."""
    settings = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY, **env}
    done = forestall("jobs", "list", env=settings)
    assert "Traceback" not in done.stderr, done.stderr[-600:]
    assert done.returncode in (2, 3)
    assert re.search("^[Ee]rror: ", done.stderr, re.MULTILINE)
    assert KEY not in done.stderr


def test_what_is_not_a_forestall_server_is_named(server: Server) -> None:
    """The metrics door answers HTTP, but no JSON."""
    done = call(server, "jobs", "list", "--url", f"http://127.0.0.1:{server.metrics_port}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "is not a Forestall server" in done.stderr


# -- pipes and signals --


def test_a_reader_that_closes_early_is_no_error(server: Server) -> None:
    """`forestall jobs list --json | head -1` prints one line and no stack trace."""
    for _ in range(20):
        server.submit({**ALLOWED_JOB, "labels": {"long": "x" * 4_000}})
    env = environment({"FORESTALL_URL": server.url, "FORESTALL_API_KEY": server.key})
    command = f"set -o pipefail; {FORESTALL} jobs list --json --limit 500 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=env, check=False)
    assert (done.stdout, done.stderr) == (b"{\n", b"")
    assert done.returncode == 0


def test_ctrl_c_is_exit_code_130(guide: str) -> None:
    """While it waits for its input, and without a stack trace."""
    process = subprocess.Popen(
        [FORESTALL, "simulate", "--policy", guide, "--request", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    waiting = Path(f"/proc/{process.pid}/wchan")
    poll(lambda: "pipe" in waiting.read_text(), "it waits for standard input")
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "")
    assert "Traceback" not in errors
