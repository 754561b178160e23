"""What a hostile key may send: each payload is a name and the requests of one flood. Values only.

A flood is sent on some connections over and over; `leaves` closes each connection without reading
the answer. `{n}` in a path or body is another number in each request, so that nothing repeats.
"""

import base64
import gzip
import json
from collections.abc import Callable
from typing import NamedTuple

MIB = 1024 * 1024
BODY = 2 * MIB - 64 * 1024
_JOBS, _CHECK = "/api/v1/jobs", "/api/v1/output/check"
_POLICY, _W = "/api/v1/policy", "/api/v1/workers/w"
POLICY = """\
name: bench
default_decision: deny
rules:
  - id: deny-exec
    decision: deny
    match: {topics: ["job.exec.*"], labels: {command_class: "destructive"}}
  - {id: allow-exec, decision: allow, match: {topics: ["job.exec.*", "job.sql.*", "job.demo.*"]}}
  - id: slow-down
    decision: throttle
    throttle: {limit: 100, window: 1h, key: [topic]}
    match: {topics: ["job.slow.*"]}
  - {id: allow-slow, decision: allow, match: {topics: ["job.slow.*"]}}
output_rules:
  - {id: out-secrets, decision: redact, match: {detectors: [secret]}}
  - {id: out-personal, decision: redact, match: {detectors: [personal_data]}}
"""


class Payload(NamedTuple):
    """One flood. `key`: whose key sends it; `connections` send at once."""

    name: str
    path: str
    body: Callable[[int], bytes]
    key: str = "hostile"
    method: str = "POST"
    connections: int = 2
    leaves: bool = False
    before: tuple[str, str, bytes] | None = None  # key, path and body of a request sent once before


def _context(value: bytes, topic: bytes = b"job.demo.read") -> Callable[[int], bytes]:
    body = b'{"topic":"%b","prompt":"p","context":%b}' % (topic, value)
    return lambda number: body


def _many(item: bytes) -> bytes:
    return b"[" + b",".join([item] * (BODY // (len(item) + 1))) + b"]"


def _few(item: bytes, count: int) -> bytes:
    return b"[" + b",".join([item] * count) + b"]"


def _text(topic: bytes, text: str) -> Callable[[int], bytes]:
    return _context(json.dumps(text).encode(), topic)


def _check(text: str) -> Callable[[int], bytes]:
    body = json.dumps({"topic": "job.demo.read", "content": text}).encode()
    return lambda number: body


def _long(text: str, size: int = BODY // 2) -> str:
    return text * (size // len(text))


def _bomb(size_mib: int, copies: int) -> str:
    packed = gzip.compress(b"a@b.example 4111 1111 1111 1111 key=" * (size_mib * MIB // 36), 9)
    return " ".join([base64.b64encode(packed).decode()] * copies)


def _numbered(template: str) -> Callable[[int], bytes]:
    return lambda number: template.replace("{n}", str(number)).encode()


def _fixed(value: object) -> Callable[[int], bytes]:
    body = json.dumps(value).encode()
    return lambda number: body


def _nothing(number: int) -> bytes:
    return b""


def _globs(item: str, count: int) -> Callable[[int], bytes]:
    return _fixed({"topics": [item.replace("#", str(n)) for n in range(count)], "max_parallel": 8})


_DEEP = b"[" * 60 + b"]" * 60
_KEYS = b"{" + b",".join(b'"k%d":1' % n for n in range(150_000)) + b"}"
_ANSWER = {"lease_id": "x", "status": "succeeded", "result": [[] for _ in range(300_000)]}
_ANSWERS = {"results": [{"job_id": str(n), "lease_id": "x", "result": {}} for n in range(64)]}
_BEATS = [{"job_id": f"j{n}", "lease_id": "x", "progress": "a" * 900} for n in range(1_000)]
_REGISTER = {"topics": [], "max_parallel": 8}
_REQUIRES = '{"prompt":"p","topic":"job.demo.read","requires":["r{n}"]}'
_LABELS = {f"label{n}": "v" * 4_000 for n in range(49)}
_READY = ("worker", f"{_W}/register", json.dumps(_REGISTER).encode())

PAYLOADS = (
    Payload("objects", _JOBS, _context(_many(b'{"a":1}'))),
    Payload("objects, checked", f"{_POLICY}/evaluate", _context(_many(b'{"a":1}'))),
    Payload("objects, explained", f"{_POLICY}/explain", _context(_many(b'{"a":1}')), key="author"),
    Payload("objects, simulated", f"{_POLICY}/simulate", _context(_many(b'{"a":1}')), key="author"),
    Payload("arrays", _JOBS, _context(_many(b"[]"))),
    Payload("integers", _JOBS, _context(_many(b"1"))),
    Payload("long integers", _JOBS, _context(_many(b"1234567890123456"))),
    Payload("floats", _JOBS, _context(_many(b"1.5e3"))),
    Payload("short texts", _JOBS, _context(_many(b'"a"'))),
    Payload("nulls", _JOBS, _context(_many(b"null"))),
    Payload("one object of 150,000 keys", _JOBS, _context(_KEYS)),
    Payload("depth", _JOBS, _context(_many(_DEEP))),
    Payload("escapes in JSON", _JOBS, _context(b'"' + b"\\u0041" * (BODY // 6) + b'"')),
    Payload("one long text", _JOBS, _text(b"job.demo.read", "a" * BODY)),
    Payload("one long text, denied", _JOBS, _text(b"job.mail.send", "a" * BODY), connections=1),
    Payload("JSON broken at its end", _JOBS, _context(_many(b'{"a":1}')[:-1])),
    Payload("a key twice at the end", _JOBS, _context(_many(b"[]")[:-1] + b',{"a":1,"a":1}]')),
    Payload(
        "a shell text", _JOBS, _text(b"job.exec.sh", _long("rm -rf $(echo /a) | b; ", 120_000))
    ),
    Payload(
        "an SQL text", _JOBS, _text(b"job.sql.run", _long("SELECT a FROM b WHERE c;", 120_000))
    ),
    Payload(
        "a shell text, explained",
        f"{_POLICY}/explain",
        _text(b"job.exec.sh", _long("rm -rf $(echo /a) | b; ", 120_000)),
        key="author",
    ),
    Payload("gzip bombs", _CHECK, _check(_bomb(60, 1)), connections=4),
    Payload("gzip bombs, client leaves", _CHECK, _check(_bomb(60, 1)), connections=4, leaves=True),
    Payload("many gzip bombs in one", _CHECK, _check(_bomb(4, 15)), connections=4),
    Payload(
        "base64 to check", _CHECK, _check(base64.b64encode(_long("key 41 ").encode()).decode())
    ),
    Payload("numbers to check", _CHECK, _check(_long("4111 1111 1111 1112 081110 120247 "))),
    Payload("addresses to check", _CHECK, _check(_long("user@host.example 10.0.0.1 "))),
    Payload("names to check", _CHECK, _check(_long("password = token: secret_key="))),
    Payload("escapes to check", _CHECK, _check(_long("\\u0041%41&#65;"))),
    Payload("a result to check", _CHECK, _fixed({"result": [{"a": 1}] * 180_000})),
    Payload("lanes by requirement", _JOBS, _numbered(_REQUIRES), connections=16),
    Payload(
        "lanes by topic", _JOBS, _numbered('{"prompt":"p","topic":"job.demo.t{n}"}'), connections=16
    ),
    Payload(
        "throttle keys",
        _JOBS,
        _numbered('{"prompt":"p","topic":"job.slow.t{n}"}'),
        connections=16,
    ),
    Payload(
        "idempotency keys",
        _JOBS,
        _numbered('{"prompt":"p","topic":"job.demo.a","idempotency_key":"k{n}"}'),
    ),
    Payload("denials", _JOBS, _numbered('{"topic":"job.mail.a","prompt":"p{n}"}'), connections=16),
    Payload("labels", f"{_POLICY}/evaluate", _fixed({"topic": "job.demo.a", "labels": _LABELS})),
    Payload("classes of a worker", f"{_W}/register", _globs("job.[a-c]?[d-f]#*", 1_000), "worker"),
    Payload("stars of a worker", f"{_W}/register", _globs("*a*b*c*d*e*f*#", 1_000), "worker"),
    Payload(
        "heartbeats of jobs not held",
        f"{_W}/heartbeat",
        _fixed({"leases": _BEATS}),
        "worker",
        before=_READY,
    ),
    Payload("results of jobs not held", f"{_W}/results", _fixed(_ANSWERS), "worker", before=_READY),
    Payload("a result of objects", f"{_JOBS}/x/result", _fixed(_ANSWER), "worker", before=_READY),
    Payload(
        "waits for work",
        f"{_W}/lease",
        _fixed({"wait_ms": 30_000}),
        "worker",
        connections=300,
        leaves=True,
        before=_READY,
    ),
    Payload("lists", f"{_JOBS}?limit=500", _nothing, method="GET", connections=8),
    Payload(
        "streams from the start",
        "/api/v1/stream?from=0",
        _nothing,
        method="GET",
        connections=64,
        leaves=True,
    ),
    Payload("bad keys", _JOBS, _fixed({}), key="", connections=16),
    Payload("half a head", "half", _nothing, connections=300),
    Payload("objects inside the bound", _JOBS, _context(_few(b'{"a":1}', 99_000))),
    Payload("arrays inside the bound", _JOBS, _context(_few(b"[]", 99_000))),
    Payload(
        "objects inside the bound, checked",
        f"{_POLICY}/evaluate",
        _context(_few(b'{"a":1}', 99_000)),
    ),
    Payload("metrics, half open", "metrics", _nothing, connections=100),
)
