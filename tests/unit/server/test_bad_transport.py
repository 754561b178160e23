"""Bodies, paths, methods, queries and cursors that no honest client sends: refused with a code."""

import asyncio
import json

import pytest

from forestall import limits
from forestall.server import bodies
from forestall.server.api import ENDPOINTS
from tests.asgi import Door, Message, assert_coded, refused
from tests.http_samples import ALLOWED_JOB, Reply

JOBS = "/api/v1/jobs"
KEYS = "/api/v1/auth/keys"

# -- the transport --


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/jsonx",
        "application/json, text/plain",
        "",
        "é",
    ],
)
def test_a_body_of_another_type_is_415(shared: Door, kind: str) -> None:
    """A browser form can send text/plain across origins; it cannot reach a verb."""
    refused(shared, ALLOWED_JOB, 415, "unsupported_media_type", headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        "application/x+json",
    ],
)
def test_json_by_any_of_its_names_is_taken(shared: Door, kind: str) -> None:
    """Case, parameter and suffix forms; and no type at all, which curl users forget."""
    assert shared.submit(ALLOWED_JOB, headers={"Content-Type": kind}).status == 200
    assert shared.submit(ALLOWED_JOB, json_type=False).status == 200


def test_a_body_is_bounded_however_it_comes(shared: Door) -> None:
    """2 MiB are taken; one byte more is 413, whole, in pieces or only promised."""
    most = limits.BODY_BYTES_MAX
    good = json.dumps(ALLOWED_JOB).encode()
    assert shared.submit(good.ljust(most)).status == 200
    refused(shared, good.ljust(most + 1), 413, "tier_limit_exceeded")
    refused(shared, good, 413, "tier_limit_exceeded", headers={"Content-Length": str(most + 1)})
    pieces = [good, *[b" " * 65_536] * 33]
    refused(shared, good, 413, "tier_limit_exceeded", chunks=pieces)
    body = shared.submit(good.ljust(3 * 1024 * 1024)).json
    assert (body["limit"], body["allowed"]) == ("max_body_bytes", most)


def test_a_body_may_come_in_any_pieces(shared: Door) -> None:
    """Byte by byte, with empty pieces between: the same answer."""
    data = json.dumps(ALLOWED_JOB).encode()
    pieces = [piece for byte in data for piece in (bytes([byte]), b"")]
    assert shared.submit(None, chunks=pieces).status == 200


def test_a_client_that_hangs_up_gets_no_answer_and_leaves_nothing(shared: Door) -> None:
    """Before the body, in the middle of it: not decided, not stored, not counted as an answer."""
    gone: Message = {"type": "http.disconnect"}
    data = json.dumps(ALLOWED_JOB).encode()
    half: Message = {"type": "http.request", "body": data[:20], "more_body": True}
    pairs = [(b"x-api-key", shared.admin.encode())]
    before = shared.trace()
    for messages in ([gone], [half, gone], [{**half, "body": data}, gone]):
        reply = shared.run(shared.call("POST", JOBS, pairs, iter(messages)))
        assert reply.status == 0
    assert shared.trace() == before


@pytest.mark.parametrize("first", [b"", b"{"], ids=["silent from the start", "silent after a byte"])
def test_a_silent_client_is_sent_away(
    shared: Door, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that drips or sends nothing may not hold a connection for ever: 408."""
    monkeypatch.setattr(bodies, "BODY_READ_SECONDS_MAX", 0.05)
    pairs = [(b"x-api-key", shared.admin.encode()), (b"content-length", b"99")]
    messages: list[Message] = [{"type": "http.request", "body": first, "more_body": True}]

    async def ask() -> Reply:
        waiting = iter(messages if first else [])
        return await asyncio.wait_for(shared.call("POST", JOBS, pairs, waiting), 2)

    before = shared.trace()
    assert_coded(shared.run(ask()), 408, "body_timeout")
    assert shared.trace() == before


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (b"x-api-key", b"{key}", b"fk_wrong"),
        (b"authorization", b"Bearer {key}", b"Bearer fk_wrong"),
        (b"x-tenant-id", b"default", b"other"),
        (b"idempotency-key", b"one", b"two"),
        (b"content-type", b"application/json", b"text/plain"),
    ],
    ids=lambda part: part.decode(),
)
def test_a_header_that_comes_twice_and_differs_is_refused(
    shared: Door, name: bytes, right: bytes, wrong: bytes
) -> None:
    """A proxy in front may have looked at the other one (as for duplicate keys in JSON)."""
    key = shared.admin.encode()
    own = [] if name in (b"x-api-key", b"authorization") else [(b"x-api-key", key)]
    before = shared.trace()
    for values in ((right, wrong), (wrong, right)):
        pairs = [*own, *((name, value.replace(b"{key}", key)) for value in values)]
        reply = shared.ask("POST", JOBS, ALLOWED_JOB, key="", headers=pairs)
        assert 400 <= reply.status < 500, values
    assert shared.trace() == before


# -- paths and queries --

ALLOWED_METHODS = {
    one.path: {other.method for other in ENDPOINTS if other.path == one.path} for one in ENDPOINTS
}


@pytest.mark.parametrize("path", sorted(ALLOWED_METHODS))
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_a_wrong_method_is_405_and_says_which_are_right(
    shared: Door, path: str, method: str
) -> None:
    """With the Allow header, whoever asks."""
    allowed = ALLOWED_METHODS[path]
    if method in allowed:
        return
    reply = shared.ask(method, path.replace("{job_id}", "x").replace("{key_id}", "x"), key="")
    assert_coded(reply, 405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) >= allowed


@pytest.mark.parametrize(
    "path",
    ["/", "", "/api", "/api/v1", "/api/v1/", JOBS + "/", JOBS + "/x/y", JOBS + "/x/decisions/",
     "//api/v1/jobs", "/api/v1/Jobs", "/api/v1/jobs/x%2Fy%2Fz", "/api/v2/jobs", "/metrics",
     "/../etc/passwd", "/%2e%2e/%2e%2e", "/\x00", "/api/v1/policy", "/" + "a/" * 5_000],
)  # fmt: skip
def test_an_unknown_path_is_a_coded_404(shared: Door, path: str) -> None:
    """JSON as everywhere; nothing is guessed, normalised or listed."""
    reply = shared.ask("GET", path)
    assert_coded(reply, 404)
    assert reply.json["code"] in ("route_not_found", "job_not_found")


WEIRD_IDS = [
    "x", "%00", "..", ".", "%2e%2e", "%20", "%0a", "%ff%fe", "%ed%a0%80", "%F0%9F%98%80", "'--",
    '" OR 1=1', "*", "{job_id}", "%25s", "null", "0", "-1", "%7f", "x" * 10_240, "%E2%80%AE",
]  # fmt: skip


@pytest.mark.parametrize("job_id", WEIRD_IDS, ids=lambda text: text[:12])
def test_an_id_that_we_never_gave_out_is_not_found(shared: Door, job_id: str) -> None:
    """404 with the one body, for jobs, decisions and keys; the id is not repeated."""
    for tail in ("", "/decisions"):
        reply = shared.ask("GET", f"{JOBS}/{job_id}{tail}")
        assert_coded(reply, 404, "job_not_found")
    assert_coded(shared.ask("DELETE", f"{KEYS}/{job_id}"), 404, "AUTH_KEY_NOT_FOUND")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=abc", "limit=1.5", "limit=1e3", "limit=%00", "limit=" + "9" * 99,
     "limit=1&limit=abc", "state=NOPE", "state=PENDING,DENIED", "status=%00", "updated_after=x",
     "updated_before=-1", "updated_after=99999-01-01", "updated_before=" + "9" * 40, "topic=%ff",
     "topic=%ed%a0%80", "&".join(f"a{n}=1" for n in range(100))],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_a_query_that_means_nothing_is_a_coded_400(shared: Door, query: str) -> None:
    """Refused rather than guessed: a filter that is dropped would show more than was asked for."""
    assert_coded(shared.ask("GET", f"{JOBS}?{query}"), 400, "invalid_request")


@pytest.mark.parametrize(
    "cursor",
    ["x", "!!!", "a" * 300, "0", "-1", "1780315199999999", "%00", "W10", "W10=", "bnVsbA",
     "WzEsMl0", "WyIxIiwiYSJd", "WzFlOTk5LCJhIl0", "W3RydWUsImEiXQ", "eyJhIjoxLCJiIjoyfQ",
     "WzEsImEiLDJd", "Wy0xMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAsImEiXQ", "W1tbW1tbW1tbW1s"],
)  # fmt: skip
def test_a_forged_cursor_is_refused(shared: Door, cursor: str) -> None:
    """400 INVALID_CURSOR; a cursor never shows what is not the caller's."""
    assert_coded(shared.ask("GET", f"{JOBS}?cursor={cursor}"), 400, "INVALID_CURSOR")


def test_a_cursor_that_looks_right_shows_our_own_jobs_only(shared: Door) -> None:
    """Another place in the list is no secret; a half surrogate in it is no crash."""
    for cursor in ("WzEsIlx1ZDgwMCJd", "WzQ2MTE2ODYwMTg0MjczODc5MDMsInoiXQ"):
        reply = shared.ask("GET", f"{JOBS}?cursor={cursor}")
        assert reply.status in (200, 400)


def test_a_body_on_a_get_changes_nothing(shared: Door) -> None:
    """Read and ignored, as long as it keeps to the rules for bodies."""
    before = shared.trace()
    assert shared.ask("GET", JOBS, ALLOWED_JOB).status == 200
    assert shared.ask("GET", JOBS, b"not json").status == 200
    assert shared.ask("GET", "/health", ALLOWED_JOB, key="").status == 200
    assert_coded(shared.ask("GET", JOBS, b"x" * 3 * 1024 * 1024), 413, "tier_limit_exceeded")
    assert shared.trace() == before
