"""The example policies of the policy author's guide, all four in force on one running server.

For each agent an action that is allowed, one that awaits approval, a denial and an attack.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Server, serving

pytestmark = pytest.mark.e2e
POLICIES = Path(__file__).parents[2] / "examples" / "policies"
STATUS = {"ALLOW": 200, "ALLOW_WITH_CONSTRAINTS": 200, "REQUIRE_APPROVAL": 200, "DENY": 403}


class Submission(NamedTuple):
    """One job, the decision that the server is to give, and the rule that is to give it."""

    name: str
    job: dict[str, Any]
    decision: str
    rule_id: str


def shell(command: str, **more: Any) -> dict[str, Any]:
    return {"topic": "job.exec.shell", "args": {"command": command, **more}}


def sql(text: str) -> dict[str, Any]:
    return {"topic": "job.sql.query", "args": {"database": "reporting", "sql": text}}


def cluster(command: str) -> dict[str, Any]:
    return {"topic": "job.k8s.run", "prompt": command}


def mail(*to: str) -> dict[str, Any]:
    return {"topic": "job.mail.send", "args": {"to": list(to), "body": "See you at noon"}}


CREDENTIAL = "password=h7Gk2mQ9xT"
ROLLOUT = {"service": "shop", "version": "2.4.0"}
SUBMISSIONS = (
    Submission("coding: a look", shell("git status", description="Look"), "ALLOW", "reading"),
    Submission("coding: a push", shell("git push"), "REQUIRE_APPROVAL", "push-asks"),
    Submission("coding: credentials", shell("cat .env"), "DENY", "no-credentials"),
    Submission("coding: an unread place", shell("ls", stdin="rm -rf /"), "DENY", ""),
    Submission("coding: a wrapper", shell("timeout 9 sh -c 'ls; rm -rf ~'"), "DENY", ""),
    Submission("database: a question", sql("SELECT total FROM orders"), "ALLOW", "asking"),
    Submission(
        "database: all notes", sql("DELETE FROM notes"), "REQUIRE_APPROVAL", "losing-notes-asks"
    ),
    Submission("database: a table", sql("DROP TABLE notes"), "DENY", "no-schema-changes"),
    Submission(
        "database: another spelling",
        sql("with x as (TABLE SalariES) sElEcT * from orders, x"),
        "DENY",
        "",
    ),
    Submission(
        "deploy: staging",
        {"topic": "job.deploy.apply", "args": {"env": "staging", **ROLLOUT}},
        "ALLOW",
        "staging",
    ),
    Submission(
        "deploy: a restart",
        cluster("kubectl rollout restart deployment/web -n shop"),
        "REQUIRE_APPROVAL",
        "restarting-asks",
    ),
    Submission(
        "deploy: a hook",
        {"topic": "job.deploy.apply", "args": {"env": "staging", **ROLLOUT, "hook": "sh x"}},
        "DENY",
        "unknown-rollout",
    ),
    Submission(
        "mail: a blind copy in headers",
        {
            "topic": "job.mail.send",
            "args": {"to": ["ann@example.com"], "headers": {"Bcc": "eve@elsewhere.example"}},
        },
        "DENY",
        "nothing-else",
    ),
    Submission(
        "mail: a blind copy in the context",
        {
            "topic": "job.mail.send",
            "args": {"to": ["ann@example.com"]},
            "context": {"bcc": ["eve@elsewhere.example"]},
        },
        "DENY",
        "no-blind-copies",
    ),
    Submission("deploy: deleting", cluster("kubectl delete deployment web"), "DENY", ""),
    Submission(
        "deploy: a wrapped command",
        cluster("kubectl get pods; sh -c 'kubectl delete namespace shop'"),
        "DENY",
        "",
    ),
    Submission("mail: to us", mail("ann@example.com", "bob@example.org"), "ALLOW", "to-us"),
    Submission(
        "mail: the second recipient is outside",
        mail("ann@example.com", "eve@elsewhere.example"),
        "REQUIRE_APPROVAL",
        "to-outside-asks",
    ),
    Submission(
        "mail: a credential",
        {
            "topic": "job.mail.send",
            "args": {"to": ["ann@example.com"], "body": "password=h7Gk2mQ9xT"},
        },
        "DENY",
        "no-credentials-by-mail",
    ),
    Submission("mail: two in one", mail("eve@elsewhere.example, ann@example.com"), "DENY", ""),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("examples") / "data"
    with serving(data, "--policy", str(POLICIES)) as running:
        yield running
        assert running.stop() == 0


@pytest.mark.parametrize("case", SUBMISSIONS, ids=lambda case: case.name)
def test_the_server_decides_as_the_guide_says(server: Server, case: Submission) -> None:
    simulated = server.ask("POST", "/api/v1/policy/simulate", case.job).json
    answer = server.submit(case.job)
    given = (answer.status, answer.json["decision"], answer.json["rule_id"])
    assert given == (STATUS[case.decision], case.decision, case.rule_id)
    # A throttle counts submissions; in a simulation its limit is always reached.
    assert simulated["decision"] in {case.decision, "THROTTLE"}


def test_a_restart_waits_for_a_person_of_the_release_group(server: Server) -> None:
    def key(name: str, role: str, **more: Any) -> str:
        body = {"name": name, "role": role, "principal": f"people/{name}", **more}
        return str(server.ask("POST", "/api/v1/auth/keys", body).json["secret"])

    agent, ann = key("deployer", "agent"), key("ann", "approver", groups=["release"])
    eve = key("eve", "approver")
    job = server.submit(cluster("kubectl -n shop rollout restart deployment/web"), key=agent).json
    path = f"/api/v1/approvals/{job['job_id']}/approve"
    shown = {"job_hash": job["job_hash"]}
    assert server.ask("POST", path, shown, key=eve).status == 403
    assert server.ask("POST", path, shown, key=ann).status == 200
    after = server.ask("GET", f"/api/v1/jobs/{job['job_id']}", key=agent).json
    assert after["state"] == "PENDING"
    claimed = server.ask("POST", f"/api/v1/jobs/{job['job_id']}/claim", {}, key=agent)
    assert claimed.status == 200, claimed.body
