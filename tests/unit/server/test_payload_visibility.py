"""Nobody without `payloads.read` gets a payload, a result or a progress text through any endpoint.

The endpoints come from the endpoint table, the roles from the roles table. A word that occurs
nowhere else is planted in each place that a requester or a worker can fill; then every answer that
such a role can get is searched for it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.identity.roles import PERMISSIONS, Permission, Role
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from tests import streams
from tests.asgi import POLICY, Door
from tests.unit.server.test_tenancy import _QUERIES, OUTPUT_RULES, SECRET, _body
from tests.workers_under_test import JOBS, Worker

# What each place is filled with; labels are facts of a decision too, which an auditor reads.
PAYLOADS = ("kestrel-prompt", "kestrel-context", "kestrel-args", "kestrel-path")
ANSWERS = ("kestrel-result", "kestrel-progress", "kestrel-original", SECRET)
LABELS = ("kestrel-label", "kestrel_name")
FACTS = ("facts", "label_conflicts")
WITHOUT = [
    role
    for role in Role
    if Permission.JOBS_READ in PERMISSIONS[role]
    and Permission.PAYLOADS_READ not in PERMISSIONS[role]
]
WITH = [role for role in Role if Permission.PAYLOADS_READ in PERMISSIONS[role]]
EXEC = "job.exec.shell"
# Facts hold the labels that some rule reads.
READS_LABELS = """\
  - id: allow-noted
    decision: allow
    match: {topics: ["job.noted.*"], labels: {note: "kes*"}}
"""


class Planted:
    """A tenant with a job in every state, each filled with the words."""

    def __init__(self) -> None:
        self.door = Door(policy=POLICY + READS_LABELS + OUTPUT_RULES)
        self.agent = self.door.key(Role.AGENT, name="agent")
        self.jobs: list[str] = []
        self.traces: list[str] = []
        worker = Worker(self.door, "w1")
        for answer in (
            {"result": {"said": "kestrel-result"}},
            {"result": {"said": "kestrel-original", "token": SECRET}},
            None,
        ):
            self.submit("job.demo.read")
            (leased,) = worker.lease(1)
            if answer is None:
                worker.beat(leased, started=True, progress="kestrel-progress", percent=40)
            else:
                worker.beat(leased, started=True, progress="kestrel-progress")
                assert worker.answer(leased, **answer).status == 200
        self.submit("job.demo.read")
        self.submit("job.mail.send")
        self.submit("job.deploy.apply")
        self.submit(EXEC)
        approved = self.submit("job.deploy.apply")
        ann = self.door.key(Role.APPROVER, name="ann")
        self.door.ask("POST", f"/api/v1/approvals/{approved}/approve", {"reason": "ok"}, key=ann)
        check = {"topic": "job.demo.x", "content": f"kestrel-original {SECRET}"}
        assert self.door.ask("POST", "/api/v1/output/check", check, key=self.agent).status == 200
        assert self.door.evaluate(self.body("job.demo.read"), key=self.agent).status == 200

    def body(self, topic: str) -> dict[str, Any]:
        """A request with the words in each of its places."""
        return {
            "topic": topic,
            "prompt": "rm -rf /srv/kestrel-path" if topic == EXEC else "kestrel-prompt",
            "context": {"note": "kestrel-context"},
            "args": {"text": "kestrel-args"},
            "labels": {"env": "prod", "note": "kestrel-label", "kestrel_name": "x"},
            "capability": "infra.write",
        }

    def submit(self, topic: str) -> str:
        """The id of a new job."""
        made = self.door.submit(self.body(topic), key=self.agent).json
        self.jobs.append(made["job_id"])
        self.traces.append(made["trace_id"])
        return self.jobs[-1]

    def read(self, endpoint: Endpoint, path: str, key: str) -> str:
        """The answer to one request; of a stream, all that is there."""
        if not endpoint.streams:
            job_id = next((each for each in self.jobs if each in path), self.jobs[0])
            body = None if endpoint.method == "GET" else self.write_body(endpoint, job_id)
            return self.door.ask(endpoint.method, path, body, key=key).body.decode()
        stream = streams.opened(self.door, path.partition("?")[0] + "?from=0", key=key)
        last = next((each for each in self.jobs if each in path), self.jobs[-1])
        stream.until(lambda: last in stream.body.decode() or stream.task.done(), "nothing came")
        stream.hang_up()
        return stream.body.decode()

    def write_body(self, endpoint: Endpoint, job_id: str) -> Any:
        """A body of a request that writes: none of the words is the role's own."""
        if endpoint.path.endswith(("/evaluate", "/simulate", "/explain", "/jobs")):
            return {"topic": "job.demo.read", "prompt": "mine"}
        if endpoint.path.endswith("/check"):
            return {"topic": "job.demo.x", "content": "mine"}
        return _body(endpoint, job_id, "none")

    def paths(self, endpoint: Endpoint) -> Iterator[str]:
        """The endpoint for each thing that its path may name, and with each query of a list."""
        names = {
            "job_id": self.jobs,
            "trace_id": self.traces,
            "worker_id": ["w1"],
            "digest": [self.door.plane.snapshot.digest if self.door.plane.snapshot else ""],
        }
        found = [endpoint.path]
        for name in re.findall(r"\{(\w+)\}", endpoint.path):
            found = [
                path.replace(f"{{{name}}}", value)
                for path in found
                for value in names.get(name, ["x"])
            ]
        yield from found
        for query in _QUERIES.get(endpoint.path, ()):
            yield f"{endpoint.path}?{query.format(tenant='read')}"


@pytest.fixture(scope="module")
def planted() -> Iterator[Planted]:
    made = Planted()
    yield made
    made.door.runner.close()


def _found(planted: Planted, role: Role, key: str, words: tuple[str, ...]) -> set[tuple[str, str]]:
    """Which words a role gets, and at which endpoint. An auditor's facts are looked at apart."""
    found = set()
    for endpoint in ENDPOINTS:
        # What the role may not use, it is refused: the matrix looks at that.
        if endpoint.permission not in PERMISSIONS[role]:
            continue
        if role in WITH and endpoint.method != "GET":
            continue  # it would change what the other tests look at
        for path in planted.paths(endpoint):
            text = planted.read(endpoint, path, key)
            found |= {(endpoint.path, word) for word in words if word in text}
    return found


@pytest.mark.parametrize("role", WITHOUT)
def test_no_answer_holds_what_was_sent_or_what_came_of_it(planted: Planted, role: Role) -> None:
    """Payload, context, arguments, result, progress, withheld original: at no endpoint."""
    key = planted.door.key(role, name=f"{role}-reads")
    words = (*PAYLOADS[:3], *ANSWERS)
    assert _found(planted, role, key, words) == set()


@pytest.mark.parametrize("role", WITHOUT)
def test_labels_are_seen_by_an_auditor_alone_and_as_facts(planted: Planted, role: Role) -> None:
    """A decision rests on labels, and on what was found in the payload: an auditor reads those as
    the facts of decisions and records. Nobody else without `payloads.read` sees them at all."""
    key = planted.door.key(role, name=f"{role}-labels")
    found = {path for path, _ in _found(planted, role, key, (*LABELS, "kestrel-path"))}
    of_facts = {
        f"{JOBS}/{{job_id}}/decisions",
        "/api/v1/approvals/{job_id}/context",
        "/api/v1/stream",
        f"{JOBS}/{{job_id}}/stream",
    }
    assert found == (of_facts if role is Role.AUDITOR else set())
    if role is Role.AUDITOR:
        for job_id in planted.jobs:
            context = planted.door.ask("GET", f"/api/v1/approvals/{job_id}/context", key=key)
            decisions = planted.door.ask("GET", f"{JOBS}/{job_id}/decisions", key=key)
            for value in (context.json, *decisions.json):
                rest = {name: part for name, part in value.items() if name not in FACTS}
                assert not [word for word in LABELS if word in json.dumps(rest)]


@pytest.mark.parametrize("role", WITH)
def test_who_may_read_payloads_finds_every_word(planted: Planted, role: Role) -> None:
    """Else the tests above would search answers that never hold anything."""
    key = planted.agent if role is Role.AGENT else planted.door.key(role, name=f"{role}-all")
    words = (*PAYLOADS, "kestrel-result", "kestrel-progress", *LABELS)
    seen = {word for _, word in _found(planted, role, key, words)}
    assert seen == set(words)


def test_the_placeholder_has_the_shape_of_what_it_stands_for(planted: Planted) -> None:
    """Published clients read the fields: they are all there, null, empty or zero, and one says
    why."""
    viewer = planted.door.key(Role.VIEWER, name="shape")
    operator = planted.door.key(Role.OPERATOR, name="shape-operator")
    for job_id in planted.jobs:
        whole = planted.door.ask("GET", f"{JOBS}/{job_id}", key=operator).json
        bare = planted.door.ask("GET", f"{JOBS}/{job_id}", key=viewer).json
        assert bare.keys() == {*whole.keys(), "payload_withheld"}
        assert bare["payload_withheld"] is True
        assert (bare["context"], bare["result"], bare["labels"]) == (None, None, {})
        assert bare["progress"] == {**whole["progress"], "message": ""}
        hidden = ("payload_withheld", "context", "result", "labels", "progress")
        for name in whole.keys() - set(hidden):
            assert bare[name] == whole[name], name
        before = planted.door.ask("GET", f"{JOBS}/{job_id}/decisions", key=operator).json
        after = planted.door.ask("GET", f"{JOBS}/{job_id}/decisions", key=viewer).json
        assert after == [{**each, "facts": {}, "label_conflicts": []} for each in before]


def test_roles_without_payloads_are_those_that_look_on() -> None:
    assert set(WITHOUT) == {Role.VIEWER, Role.AUTHOR, Role.AUDITOR}
    assert set(WITH) == {Role.AGENT, Role.OPERATOR, Role.APPROVER, Role.ADMIN}
