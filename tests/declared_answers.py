"""Every answer against the Struct that its endpoint declares. It holds no answer for right.

tests/asgi.py calls `require_declared` with each answer it gets, so that all tests together prove
what the endpoints declare.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.wire.errors import ErrorObject
from tests.http_samples import Reply


def require_declared(method: str, path: str, reply: Reply) -> None:
    """Fail unless status and body are as declared: no field more, none less, none of another type.

    `path` has no query. Answers to HEAD and requests whose client had gone have no body to look at.
    """
    endpoint = _endpoint(method, path)
    if reply.status == 0 or method == "HEAD":
        return
    allowed = _allowed(endpoint, reply.status)
    where = f"{endpoint.method} {endpoint.path}" if endpoint else f"{method} {path}"
    assert allowed, f"{where}: no answer with status {reply.status} is declared"
    if allowed == [None]:
        assert not reply.body, f"{where}: {reply.status} is declared without a body"
        return
    bodies = [reply.body]
    if endpoint is not None and endpoint.streams and reply.status == 200:
        bodies = re.findall(rb"^data: (.*)$", reply.body, re.MULTILINE)
    for body in bodies:
        problems = [difference(body, kind) for kind in allowed]
        assert "" in problems, f"{where}: {reply.status}: {'; or '.join(problems)}: {body[:500]!r}"


def _allowed(endpoint: Endpoint | None, status: int) -> Sequence[Any]:
    """The types of which the body has to be one."""
    declared: Mapping[int, Any] = endpoint.responses if endpoint is not None else {}
    kinds = [declared[status]] if status in declared else []
    return [*kinds, ErrorObject] if status >= 400 else kinds


def difference(body: bytes, kind: Any) -> str:
    """In what a body differs from its type; empty: in nothing."""
    try:
        value = msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        return f"no {kind}: {error}"
    # What the decoder forgives: a field that a Struct of the core does not know, or one left out.
    same = msgspec.json.decode(msgspec.json.encode(value)) == msgspec.json.decode(body)
    return "" if same else f"{kind} has not all of these fields"


def _endpoint(method: str, path: str) -> Endpoint | None:
    """The endpoint of a request; None: there is none, which is answered with an error."""
    method = "GET" if method == "HEAD" else method
    exact = _by_path().get((method, path))
    if exact is not None or any(one.path == path for one in ENDPOINTS):
        return exact
    for pattern, endpoint in _patterns():
        if endpoint.method == method and pattern.fullmatch(path):
            return endpoint
    return None


@cache
def _by_path() -> dict[tuple[str, str], Endpoint]:
    return {(one.method, one.path): one for one in ENDPOINTS}


@cache
def _patterns() -> list[tuple[re.Pattern[str], Endpoint]]:
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]*", one.path), re.DOTALL), one)
        for one in ENDPOINTS
        if "{" in one.path
    ]
