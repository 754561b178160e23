"""The scripts of the guide of twelve controls, verbatim, against the real server.

They run twice: by bash, curl and jq as a reader would paste them, and in plain Python everywhere.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import GUIDE_RULES, Server, environment, serving
from tests.http_samples import Reply

pytestmark = pytest.mark.e2e
needs_shell = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "jq"))),
    reason="the guide's scripts as pasted need bash, curl and jq on PATH",
)

# Verbatim; API and KEY come from the environment, the metrics port is substituted.
SIMULATE = r"""
curl -sS -X POST "$API/api/v1/policy/simulate" \
  -H "Content-Type: application/json" \
  -H "X-API-Key: $KEY" \
  -H "X-Tenant-ID: default" \
  -d '{
    "job_id": "sim-prod-write-1",
    "topic": "job.deploy.apply",
    "tenant": "default",
    "labels": {"env":"prod"},
    "meta": {
      "capability": "infra.write",
      "risk_tags": ["change"]
    }
  }' | jq .
"""
VERIFY = r"""
# Submit one low-risk and one high-risk job
ALLOW_JOB=$(curl -sS -X POST "$API/api/v1/jobs" \
  -H "Content-Type: application/json" \
  -H "X-API-Key: $KEY" -H "X-Tenant-ID: default" \
  -d '{"topic":"job.demo.read","prompt":"status"}' | jq -r '.job_id')

DENY_JOB=$(curl -sS -X POST "$API/api/v1/jobs" \
  -H "Content-Type: application/json" \
  -H "X-API-Key: $KEY" -H "X-Tenant-ID: default" \
  -d '{"topic":"job.exec.shell","prompt":"rm -rf /"}' || true)

# Inspect policy decisions
curl -sS "$API/api/v1/jobs/$ALLOW_JOB/decisions" \
  -H "X-API-Key: $KEY" -H "X-Tenant-ID: default" | jq .
"""
COUNTERS = r"""
# Verify output safety counters
curl -sS http://127.0.0.1:9090/metrics | rg "cordum_output_policy_|input_fail_open"
"""
SIMULATED: dict[str, Any] = {
    "job_id": "sim-prod-write-1",
    "topic": "job.deploy.apply",
    "tenant": "default",
    "labels": {"env": "prod"},
    "meta": {"capability": "infra.write", "risk_tags": ["change"]},
}


def pasted(server: Server, script: str) -> str:
    """What a shell prints for a script; nothing may go to stderr and no step may fail."""
    script = script.replace("127.0.0.1:9090", f"127.0.0.1:{server.metrics_port}")
    has_rg = shutil.which("rg") is not None
    lines = ["set -eu -o pipefail", "" if has_rg else 'rg() { grep -E "$@"; }', script]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        env=environment({"API": server.url, "KEY": server.key}),
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def jq(text: str, expression: str) -> str:
    """One value out of JSON text by the tool that the guide uses."""
    done = subprocess.run(
        ["jq", "-r", expression], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def simulate(server: Server, body: Any) -> Reply:
    """POST /api/v1/policy/simulate."""
    return server.ask("POST", "/api/v1/policy/simulate", body)


@needs_shell
def test_the_simulation_script_is_held_by_the_guides_rule(server: Server) -> None:
    """Script 1 answers REQUIRE_APPROVAL by `require-approval-prod-write`."""
    printed = pasted(server, SIMULATE)
    assert jq(printed, ".decision") == "REQUIRE_APPROVAL"
    assert jq(printed, ".rule_id") == "require-approval-prod-write"
    assert jq(printed, ".reason") == "human review required for prod write"


@needs_shell
def test_the_verification_script_shows_an_allow_with_its_record_and_a_denial(
    server: Server,
) -> None:
    """Script 2: the first job is allowed and has records; the second is denied by its rule."""
    show = 'echo "$ALLOW_JOB"; echo "$DENY_JOB"'
    printed = pasted(server, f"{{ {VERIFY} }} >/dev/null\n{show}")
    allowed, denied = printed.split("\n", 1)
    assert server.ask("GET", f"/api/v1/jobs/{allowed}").json["state"] == "PENDING"
    assert jq(denied, ".rule_id") == "deny-destructive-exec"
    assert jq(denied, ".status") == "403"
    job = server.ask("GET", "/api/v1/jobs/" + jq(denied, ".job_id")).json
    assert (job["state"], job["labels"]) == ("DENIED", {})

    decisions = pasted(server, VERIFY)
    assert jq(decisions, "length") == "1"
    assert jq(decisions, ".[0].decision") == "ALLOW"
    assert jq(decisions, ".[0].rule_id") == "allow-demo"
    assert jq(decisions, ".[0].stage") == "submit"


@needs_shell
def test_the_counters_are_there_before_the_first_event(server: Server) -> None:
    """Script 3 prints series of both names, each of them 0."""
    printed = pasted(server, COUNTERS).splitlines()
    samples = [line for line in printed if not line.startswith("#")]
    assert [line for line in samples if line.startswith("cordum_output_policy_")]
    assert [line for line in samples if "input_fail_open" in line]
    assert {line.rpartition(" ")[2] for line in samples} == {"0.0"}


def test_the_same_in_plain_python(server: Server) -> None:
    """All of the above without any tool, so that it runs on every machine."""
    held = simulate(server, SIMULATED).json
    assert held["decision"] == "REQUIRE_APPROVAL"
    assert held["rule_id"] == held["ruleId"] == "require-approval-prod-write"
    assert held["approval_ref"] == "sim-prod-write-1"

    allowed = server.submit({"topic": "job.demo.read", "prompt": "status"})
    assert allowed.status == 200
    decisions = server.ask("GET", f"/api/v1/jobs/{allowed.json['job_id']}/decisions").json
    assert [one["decision"] for one in decisions] == ["ALLOW"]

    denied = server.submit({"topic": "job.exec.shell", "prompt": "rm -rf /"})
    assert denied.status == 403
    assert denied.json["rule_id"] == "deny-destructive-exec"
    assert denied.json["error"] == "destructive command class blocked"

    metrics = server.metrics()
    for name in (
        "cordum_output_policy_checked_total",
        "cordum_output_policy_quarantined_total",
        "cordum_output_policy_redacted_total",
        "cordum_output_policy_skipped_total",
        "cordum_input_fail_open_total",
    ):
        assert f"\n{name} 0.0\n" in metrics


def test_the_guides_two_rules_alone_deny_by_rule_and_hold(tmp_path: Path) -> None:
    """With nothing but the two rules the shell job is denied BY the rule, not by default."""
    policy = tmp_path / "safety-policy.yaml"
    policy.write_text(GUIDE_RULES)
    with serving(tmp_path / "data", "--policy", str(policy)) as server:
        denied = server.submit({"topic": "job.exec.shell", "prompt": "rm -rf /"})
        assert (denied.status, denied.json["rule_id"]) == (403, "deny-destructive-exec")
        assert denied.json["decision"] == "DENY"
        by_default = server.submit({"topic": "job.demo.read", "prompt": "status"})
        assert (by_default.status, by_default.json["rule_id"]) == (403, "")

        held = simulate(server, SIMULATED).json
        assert (held["decision"], held["rule_id"]) == (
            "REQUIRE_APPROVAL",
            "require-approval-prod-write",
        )
        dev = simulate(server, {**SIMULATED, "labels": {"env": "dev"}}).json
        assert (dev["decision"], dev["rule_id"]) == ("DENY", "")


def test_the_guides_runbook_agrees_with_its_simulation(server: Server) -> None:
    """Runbook 1-3: one deny, one approval, one allow; the submit says what simulate said."""
    cases = (
        ({"topic": "job.exec.shell", "prompt": "rm -rf /"}, "DENY", 403, "DENIED"),
        (
            {**SIMULATED, "prompt": "roll out", "capability": "infra.write"},
            "REQUIRE_APPROVAL",
            200,
            "APPROVAL_REQUIRED",
        ),
        ({"topic": "job.demo.read", "prompt": "status"}, "ALLOW", 200, "PENDING"),
    )
    for body, decision, status, state in cases:
        rehearsed = simulate(server, body).json
        submitted = server.submit(body)
        assert rehearsed["decision"] == submitted.json["decision"] == decision
        assert rehearsed["rule_id"] == submitted.json["rule_id"]
        assert rehearsed["job_hash"] == submitted.json["job_hash"]
        assert (submitted.status, submitted.json["state"]) == (status, state)
        job_id = submitted.json["job_id"]
        assert server.ask("GET", f"/api/v1/jobs/{job_id}").json["state"] == state
        records = server.ask("GET", f"/api/v1/jobs/{job_id}/decisions").json
        assert [one["decision"] for one in records] == [decision]
