"""Results with canaries, given to the real server: every byte that it ever sent or stored unsealed
is searched for them, in every form a reader would undo. Then one is released, by a second person.

`make drill-leak` prints what was looked at.
"""

import base64
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.server.api import ENDPOINTS
from tests.e2e.harness import KEY, Server, forestall, poll, serving
from tests.e2e.test_stream import curl, websocket
from tests.e2e.traffic_recorder import Tap
from tests.e2e.worker_processes import issue, job, submitted, until

pytestmark = pytest.mark.e2e
POLICY = """\
rules:
  - {id: ask, decision: require_approval, match: {topics: ["job.ask"]}}
  - {id: all, decision: allow, match: {topics: ["job.*"]}}
output_rules:
  - {id: stop, decision: quarantine, match: {topics: ["job.stop"], detectors: [secret]}}
"""
# Each answer has a canary of its own; all are of the forms of real keys, and none ever was one.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
KEYS = "/api/v1/auth/keys"
TOPICS = ("job.read", "job.stop")


def canary(number: int) -> str:
    """The id of a cloud's access key, different for each number."""
    mixed = (number + 1) * 0x9E37_79B9_7F4A_7C15
    return "AKIA" + "".join(LETTERS[(mixed >> (5 * place)) % 32] for place in range(16))


def forms(text: str) -> list[bytes]:
    """What a reader would undo: as it is, base64 at each of three offsets, hex, escapes."""
    data = text.encode()
    inner = [base64.b64encode(b"x" * shift + data)[4:-4] for shift in (1, 2, 3)]
    escaped = "".join(f"\\u{ord(char):04x}" for char in text).encode()
    return [data, data[::-1], data.hex().encode(), escaped, *inner]


def answers(text: str) -> list[dict[str, Any]]:
    """Ways in which a worker may say it."""
    coded = base64.b64encode(f"the key is {text}, keep it".encode()).decode()
    error = {"code": "oops", "message": f"login with {text} failed"}
    return [
        {"status": "succeeded", "result": f"the key is {text}"},
        {"status": "succeeded", "result": {"deep": [{"in": ["side", {"of": f"{text}"}]}]}},
        {"status": "succeeded", "result": {text: 1}},
        {"status": "succeeded", "result": {"data": coded}},
        {"status": "failed", "error": error},
        {"status": "failed", "error": {"code": text, "message": "no"}},
        {"status": "failed", "error": error, "retryable": True},
    ]


class World:
    """A server behind a tap, a worker, and who listens."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.server = server
        self.tap = Tap(server.port)
        server.port = self.tap.port
        self.held: dict[str, dict[str, Any]] = {}
        self.token = token or issue(server, "w1")
        self._ask("/api/v1/workers/w1/register", {"max_parallel": 16})

    def _ask(self, path: str, body: Any) -> Any:
        reply = self.server.ask("POST", path, body, key=self.token)
        assert reply.status == 200, (path, reply.body)
        return reply.json

    def take(self, job_id: str) -> dict[str, Any]:
        """This job; one that is tried again may come first."""
        while job_id not in self.held:
            found = self._ask("/api/v1/workers/w1/lease", {"limit": 8, "wait_ms": 5_000})["jobs"]
            self.held.update({each["job_id"]: each for each in found})
        return self.held.pop(job_id)

    def beat(self, given: dict[str, Any], progress: str) -> None:
        """Say how far it is."""
        held = {"job_id": given["job_id"], "lease_id": given["lease_id"], "progress": progress}
        self._ask("/api/v1/workers/w1/heartbeat", {"leases": [held]})

    def answer(self, given: dict[str, Any], said: dict[str, Any]) -> None:
        """Give the result."""
        path = f"/api/v1/jobs/{given['job_id']}/result"
        self._ask(path, {"lease_id": given["lease_id"], **said})

    def work(self, topic: str, text: str, said: dict[str, Any]) -> str:
        """A job from its submission to its end; what it is called."""
        job_id = submitted(self.server, "go", topic=topic)
        given = self.take(job_id)
        self.beat(given, f"half way with {text}")
        self.look(job_id)
        self.answer(given, said)
        return job_id

    def look(self, job_id: str) -> None:
        """Knock at every door that reads."""
        for endpoint in ENDPOINTS:
            if endpoint.method == "GET" and not endpoint.path.endswith("stream"):
                path = endpoint.path.replace("{job_id}", job_id)
                self.server.ask("GET", re.sub(r"\{\w+\}", "x", path))


def searched(places: dict[str, bytes], canaries: list[str]) -> list[str]:
    """Where a canary is."""
    return [
        f"{where}: {text}"
        for where, data in places.items()
        for text in canaries
        if any(form in data for form in forms(text))
    ]


def stored(folder: Path, when: str) -> Iterator[tuple[str, bytes]]:
    """Every file that the server has written."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{when} {path.name}", path.read_bytes()


def test_no_byte_holds_a_canary(tmp_path: Path) -> None:
    """Over the API, both streams, metrics, logs, the command line, the files, a kill."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    arguments = ("--policy", str(tmp_path / "policy.yaml"))
    data = tmp_path / "data"
    canaries: list[str] = []
    places: dict[str, bytes] = {}
    with serving(data, *arguments) as server:
        world = World(server)
        with curl(server) as follower, websocket(server) as socket:
            ended: list[str] = []
            for topic in TOPICS:
                for number in range(len(answers(""))):
                    canaries.append(canary(len(canaries)))
                    said = answers(canaries[-1])[number]
                    ended.append(world.work(topic, canaries[-1], said))
            follower.wait_for("job.quarantined", 4)
            for job_id in ended:
                world.look(job_id)
                server.ask("POST", f"/api/v1/dlq/{job_id}/retry", {"force": True})
            heard = [socket.recv(timeout=10) for _ in range(40)]
            places["websocket"] = "".join(map(str, heard)).encode()
            states = [job(server, job_id)["state"] for job_id in ended]
        # Killed with results under way: large ones, so that it is in the middle of a look.
        late = [submitted(server, "go", topic=topic) for topic in TOPICS for _ in range(3)]
        given = [world.take(job_id) for job_id in late]
        for each in given:
            canaries.append(canary(len(canaries)))
            said = {"status": "succeeded", "result": "word " * 150_000 + canaries[-1]}
            threading.Thread(target=_quietly, args=(world, each, said), daemon=True).start()
        scans = "cordum_output_policy_checked_total"
        poll(lambda: server.metrics().count(scans) > 0, "a scan")
        places["metrics"] = server.metrics().encode()
        server.kill()
        places.update(stored(data, "as killed"))
        places["standard error"] = server.log.encode()
        places["sent before the kill"] = b"".join(world.tap.sent)
        places["curl"] = "\n".join(follower.lines).encode()
    with serving(data, *arguments) as server:
        world = World(server, world.token)
        for name in ("jobs list", "dlq list", "quarantine list"):
            told = forestall(
                *name.split(), env={"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
            )
            places[f"forestall {name}"] = (told.stdout + told.stderr).encode()
        for job_id in [*ended, *late]:
            world.look(job_id)
        places["sent after the kill"] = b"".join(world.tap.sent)
        places["metrics again"] = server.metrics().encode()
        server.stop()
        places["standard error again"] = server.log.encode()
    places.update(stored(data, "stored"))
    answered = len(ended) + len(given)
    print(f"{len(canaries)} canaries in {answered} answers; states {sorted(set(states))}")
    for where, data_there in places.items():
        print(f"  {where:28} {len(data_there):>10,} bytes")
    assert states.count("OUTPUT_QUARANTINED") == 4
    assert searched(places, canaries) == []
    print("  found: 0")
    assert searched({"x": b"the " + base64.b64encode(b"key " + canaries[0].encode())}, canaries)
    for place in ("sent before the kill", "curl", "websocket", "as killed forestall.db-wal"):
        assert len(places[place]) > 1_000, place


def _quietly(world: World, given: dict[str, Any], said: dict[str, Any]) -> None:
    try:
        world.answer(given, said)
    except (AssertionError, OSError, ValueError):
        return  # the server was killed, which is the point
    except Exception as error:  # noqa: BLE001 - http.client raises several of its own
        print(type(error).__name__)


def half_answers(text: str) -> list[dict[str, Any]]:
    """Ways in which a worker may say it in two texts, neither of which holds it."""
    one, two = text[:9], text[9:]
    return [
        {"status": "failed", "error": {"code": one, "message": two}},
        {"status": "failed", "error": {"code": "oops", "message": two}},  # after the progress
        {"status": "succeeded", "result": {"stdout": [one, two]}},
        {"status": "succeeded", "result": [{"fd": 1, "text": one}, {"fd": 1, "text": two}]},
        {"status": "succeeded", "result": {"a": {"b": one}, "c": [two, "and more"]}},
        {"status": "succeeded", "result": list(text)},
    ]


def hostile(lease_id: str, text: str) -> list[bytes]:
    """Messages that are not valid, and say it."""
    head = b'{"lease_id":"%b",' % lease_id.encode()
    said = text.encode()
    return [
        head + b'"status":"succeeded","result":{"a":1,"a":"%b"}}' % said,
        head + b'"status":"succeeded","result":"%b"}' % b"\\u0000".join([said[:9], said[9:]]),
        head + b'"status":"succeeded","result":' + b"[" * 900 + b'"%b"' % said,
        head + b'"status":"%b"}' % said,
        head + b'"status":"succeeded","%b":1}' % said,
        head + b'"status":"failed","error":"%b"}' % said,
        head + b'"status":"succeeded","result_problem":"%b"}' % said,
    ]


def test_no_door_shows_a_text_that_was_not_looked_at(tmp_path: Path) -> None:
    """Names that a worker registers, reasons of people, halves in two texts, messages that are not
    valid: of each secret at most a half is anywhere."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    data, places = tmp_path / "data", {}
    texts = (canary(number) for number in range(1_000, 2_000))
    whole: list[str] = []
    halved: list[str] = []
    with serving(data, "--policy", str(tmp_path / "policy.yaml")) as server:
        world = World(server)
        with curl(server) as follower:
            whole += _registered_names(world, texts)
            whole += _reasons(world, texts)
            for number in range(len(half_answers("x" * 20))):
                halved.append(next(texts))
                given = world.take(submitted(server, "go", topic="job.read"))
                world.beat(given, halved[-1][:9])
                world.look(given["job_id"])
                world.answer(given, half_answers(halved[-1])[number])
                world.look(given["job_id"])
            halved.append(next(texts))
            given = world.take(submitted(server, "go", topic="job.read"))
            for part in (halved[-1][:9], halved[-1][9:], "done"):
                world.beat(given, part)
                world.look(given["job_id"])
            for number in range(len(hostile("", "x" * 20))):
                whole.append(next(texts))
                given = world.take(submitted(server, "go", topic="job.read"))
                path = f"/api/v1/jobs/{given['job_id']}/result"
                body = hostile(given["lease_id"], whole[-1])[number]
                assert server.ask("POST", path, body, key=world.token).status == 200
                world.look(given["job_id"])
            follower.wait_for("job.quarantined", 6)
        for name in ("jobs list", "dlq list", "quarantine list", "workers list", "approvals list"):
            told = forestall(*name.split(), env=_admin(server))
            places[f"forestall {name}"] = (told.stdout + told.stderr).encode()
        places["sent"] = b"".join(world.tap.sent)
        places["stream"] = "\n".join(follower.lines).encode()
        places["metrics"] = server.metrics().encode()
        server.stop()
        places["standard error"] = server.log.encode()
    places.update(stored(data, "stored"))
    print(f"{len(whole)} secrets in one text, {len(halved)} in two")
    for where, data_there in places.items():
        print(f"  {where:28} {len(data_there):>10,} bytes")
    assert searched(places, whole + halved) == []
    everything = b"\n".join(places.values())
    for text in halved:
        assert not (text[:9].encode() in everything and text[9:].encode() in everything), text
        assert str(list(text))[1:-1].replace("'", '"').encode() not in everything
    print("  found: 0")


def _admin(server: Server) -> dict[str, str]:
    return {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}


def _registered_names(world: World, texts: Iterator[str]) -> list[str]:
    """Secrets that a worker offers as names; every such offer is refused."""
    used = [next(texts) for _ in range(3)]
    for offer in (
        {"topics": [f"job.{used[0]}.*"]},
        {"capabilities": ["gpu", used[1]]},
        {"topics": [f"job.{used[2][:9]}", used[2][9:]]},
    ):
        path = "/api/v1/workers/w1/register"
        assert world.server.ask("POST", path, offer, key=world.token).status == 400
        world.look("x")
    return used


def _reasons(world: World, texts: Iterator[str]) -> list[str]:
    """Secrets that people write as reasons, of votes and of what becomes of a withheld result."""
    server, used = world.server, []
    key, agent = (
        server.ask("POST", KEYS, {"name": f"{role}-x", "role": role}).json["secret"]
        for role in (Role.APPROVER, Role.AGENT)
    )
    for verb in ("approve", "reject"):
        used += [next(texts), next(texts)]
        asked = server.submit({"topic": "job.ask", "prompt": "go"}, key=agent).json["job_id"]
        body = {"reason": f"see {used[-1]}", "note": f"and {used[-2]}"}
        assert server.ask("POST", f"/api/v1/approvals/{asked}/{verb}", body, key=key).status == 200
        world.look(asked)
    used.append(next(texts))
    job_id = server.submit({"topic": "job.stop", "prompt": "go"}, key=agent).json["job_id"]
    world.answer(world.take(job_id), {"status": "succeeded", "result": used[-1]})
    used.append(next(texts))
    path = f"/api/v1/jobs/{job_id}/output/confirm"
    body = {"reason": f"it was {used[-1]}"}
    assert server.ask("POST", path, body, key=key).status == 200
    world.look(job_id)
    return used


def test_released_by_a_second_person_alone(tmp_path: Path) -> None:
    """Whoever asked is refused, another is not, and both are in the log."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    with serving(tmp_path / "data", "--policy", str(tmp_path / "policy.yaml")) as server:
        keys = {
            name: server.ask("POST", KEYS, {"name": name, "role": role}).json["secret"]
            for name, role in (("asker", Role.ADMIN), ("second", Role.APPROVER))
        }
        world = World(server)
        asked = {"topic": "job.stop", "prompt": "go"}
        job_id = server.submit(asked, key=keys["asker"]).json["job_id"]
        given = world.take(job_id)
        world.answer(given, {"status": "succeeded", "result": {"token": canary(0)}})
        until(server, job_id, "OUTPUT_QUARANTINED")
        path = f"/api/v1/jobs/{job_id}/output/release"
        body = {"reason": "a canary of the drill"}
        own = server.ask("POST", path, body, key=keys["asker"])
        other = server.ask("POST", path, body, key=keys["second"])
        again = server.ask("POST", path, body, key=keys["second"])
        print(f"asker: {own.status} {own.json['code']}: {own.json['error']}")
        print(f"second: {other.status} {other.json['state']} by {other.json['released_by']}")
        print(f"again: {again.status} {again.json['code']}")
        assert (own.status, other.status, again.status) == (403, 200, 409)
        assert job(server, job_id)["result"] == {"token": canary(0)}
        assert job(server, job_id)["attempts"] == 1
        with curl(server, f"/api/v1/jobs/{job_id}/stream?from=0") as follower:
            follower.wait_for("output.refused", 2)
        kinds = [event["kind"] for event in follower.events()]
        print("records:", ", ".join(kinds))
        assert kinds[-3:] == ["output.refused", "job.released", "output.refused"]
