"""A thin ASGI core: route, authenticate, authorise, bound the body, call, answer. No verbs here.

Every answer is JSON, carries X-Request-Id and the security headers, and is counted. An error that a
handler raises becomes a coded body; any other exception becomes 500 `internal_error`, without a
word of its text.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from forestall.control.keys import authenticate
from forestall.control.plane import Plane
from forestall.errors import (
    ForbiddenError,
    ForestallError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    UnauthorizedError,
)
from forestall.identity.credentials import Subject
from forestall.identity.shares import Payer, Shares, payer_of
from forestall.limits import (
    INSPECT_INLINE_BYTES_MAX,
    LONG_BODIES_BYTES_MAX,
    LONG_BODIES_BYTES_PER_KEY_MAX,
    LONG_BODIES_BYTES_PER_TENANT_MAX,
    QUERY_FIELDS_MAX,
    REQUESTS_MAX,
    REQUESTS_PER_KEY_MAX,
    REQUESTS_PER_TENANT_MAX,
)
from forestall.server.bodies import (
    ClientGoneError,
    byte_cost,
    bytes_to_reserve,
    cost_of,
    declared_bytes,
    read_body,
)
from forestall.server.endpoints import (
    FIXED_HEADERS,
    Answer,
    Call,
    Endpoint,
    Headers,
    Receive,
    Send,
    StreamingBody,
)
from forestall.server.host_names import HostNames
from forestall.server.metrics import Metrics
from forestall.server.rates import RateLimitedError, Rates
from forestall.server.thread_pools import CHARGE, PAYER, DecodeThreads
from forestall.wire.errors import error_object
from forestall.wire.stream import subprotocol_key
from forestall.wire.submissions import TENANT_ACCESS_DENIED, TenantAccessError

_LOG = logging.getLogger("forestall.http")
_ENCODER = msgspec.json.Encoder()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOG_EVERY_SECONDS = 60
_COUNTED_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_RETRY_AFTER_S = 5  # for an outage of unknown length
# With two values of one of these, a proxy and this server could read two different requests.
_SINGLE_HEADERS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"transfer-encoding",
        b"x-api-key",
        b"x-cordum-tenant",
        b"x-idempotency-key",
        b"x-tenant-id",
    }
)


class RouteNotFoundError(NotFoundError):
    """No endpoint has this path."""

    code, http_status = "route_not_found", 404


class MethodNotAllowedError(ForestallError):
    """The path exists, but not with this method; the Allow header names those that do."""

    code, http_status = "method_not_allowed", 405


class _Route(NamedTuple):
    pattern: str
    segments: tuple[str, ...]
    by_method: dict[str, Endpoint]


class Gateway:
    """The ASGI application over a table of endpoints."""

    def __init__(
        self,
        plane: Plane,
        endpoints: Sequence[Endpoint],
        metrics: Metrics,
        rates: Rates | None = None,
        host_names: HostNames | None = None,
    ) -> None:
        self._plane = plane
        self._metrics = metrics
        self._rates = rates or Rates()
        self._host_names = host_names or HostNames()
        self._decoding = DecodeThreads()
        self._requests = Shares(
            "requests",
            per_key=REQUESTS_PER_KEY_MAX,
            per_tenant=REQUESTS_PER_TENANT_MAX,
            total=REQUESTS_MAX,
        )
        self._long_bodies = Shares(
            "bytes of long bodies",
            per_key=LONG_BODIES_BYTES_PER_KEY_MAX,
            per_tenant=LONG_BODIES_BYTES_PER_TENANT_MAX,
            total=LONG_BODIES_BYTES_MAX,
        )
        self._exact: dict[str, _Route] = {}
        self._patterns: dict[tuple[int, str], list[_Route]] = {}
        self._logged_at: dict[str, float] = {}
        routes: dict[str, _Route] = {}
        for endpoint in endpoints:
            segments = tuple(endpoint.path.split("/"))
            route = routes.setdefault(endpoint.path, _Route(endpoint.path, segments, {}))
            route.by_method[endpoint.method] = endpoint
        for route in routes.values():
            if "{" in route.pattern:
                self._patterns.setdefault(_shape(route.segments), []).append(route)
            else:
                self._exact[route.pattern] = route

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or one WebSocket handshake as if it were a GET."""
        is_websocket = scope["type"] == "websocket"
        if not is_websocket and scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        method: str = scope.get("method", "GET")
        route, params = self._find(scope["path"])
        pattern = route.pattern if route else "unknown"
        try:
            if len(headers) != len(scope["headers"]):
                _require_single(scope["headers"])
            answer = await self._answer(scope, receive, headers, method, route, params)
        except ClientGoneError:
            return
        except ForestallError as error:
            error = self._bounded(error, scope)
            if error.http_status >= 500:
                self._log_failure(error, method, pattern)
            answer = _refusal(error, route)
        except Exception:  # noqa: BLE001 - nothing runs and the client gets 500
            # The client learns nothing of it; the operator finds the traceback by the request id.
            _LOG.exception("unforeseen error in %s %s (request %s)", method, pattern, request_id)
            answer = _refusal(InternalError("internal error"), route)
        if not isinstance(answer.body, StreamingBody):
            send_answer = _send_as_denial(send) if is_websocket else send
            await _send(send_answer, answer, request_id, head_only=method == "HEAD")
        counted_method = method if method in _COUNTED_METHODS else "OTHER"
        self._metrics.answered(
            counted_method, pattern, answer.status, time.perf_counter() - started
        )
        if isinstance(answer.body, StreamingBody):
            fields = (*FIXED_HEADERS, (b"x-request-id", request_id.encode()), *answer.headers)
            await answer.body.run(scope, receive, send, fields)

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        """The id that the client has sent, where it is one; else a new one."""
        sent = headers.get(b"x-request-id")
        if sent and _REQUEST_ID.fullmatch(sent):
            return sent.decode()
        return self._plane.random.token(8).hex()

    def _bounded(self, error: ForestallError, scope: dict[str, Any]) -> ForestallError:
        """The error, or RateLimitedError when this address has sent too many bad keys. Counts bad
        keys and rate limits."""
        client = scope.get("client")
        if isinstance(error, UnauthorizedError):
            try:
                # All requests without a known address share one limit.
                self._rates.count_bad_key(client[0] if client else "", time.monotonic_ns())
            except RateLimitedError as limited:
                error = limited
        if isinstance(error, RateLimitedError):
            self._metrics.rate_limited(error.scope)
        return error

    def _log_failure(self, error: ForestallError, method: str, pattern: str) -> None:
        """Log a refusal, at most once in _LOG_EVERY_SECONDS for each code: a full disk refuses
        every request."""
        now = time.monotonic()
        if now - self._logged_at.get(error.code, -_LOG_EVERY_SECONDS) >= _LOG_EVERY_SECONDS:
            self._logged_at[error.code] = now
            _LOG.error("%s %s refused: %s: %s", method, pattern, error.code, error.message)

    async def _answer(
        self,
        scope: dict[str, Any],
        receive: Receive,
        headers: dict[bytes, bytes],
        method: str,
        route: _Route | None,
        params: tuple[str, ...],
    ) -> Answer:
        endpoint = route and route.by_method.get("GET" if method == "HEAD" else method)
        # A public endpoint says nothing of this server, and a probe may use any name.
        if endpoint is None or endpoint.permission is not None:
            self._host_names.require(method, headers.get(b"host"), headers.get(b"origin"))
        if route is None:
            raise RouteNotFoundError("no such endpoint; the API begins at /api/v1")
        if endpoint is None:
            raise MethodNotAllowedError(f"this path does not take {method[:16]}")
        subject = None
        limit_headers: Headers = ()
        is_websocket = scope["type"] == "websocket"
        key_in_subprotocol = False
        if endpoint.permission is not None:
            key = _credential(headers)
            if key is None and is_websocket:
                key = subprotocol_key(scope["subprotocols"])
                key_in_subprotocol = key is not None
            subject = authenticate(self._plane, key)
            limit_headers = self._rates.admit(subject.key_id, subject.tenant, time.monotonic_ns())
            _require_tenant(subject, headers)
            if not subject.may(endpoint.permission):
                raise ForbiddenError(
                    f"the role `{subject.role}` may not do this; it needs `{endpoint.permission}`",
                    details={"required": endpoint.permission.value, "role": subject.role.value},
                )
        call = Call(
            subject=subject,
            params=params,
            query=_query(scope["query_string"]),
            headers=headers,
            body=b"",
            receive=receive,
            websocket=is_websocket,
            key_in_subprotocol=key_in_subprotocol,
            decoding=self._decoding,
        )
        answer = await self._within_shares(endpoint, call)
        if limit_headers:
            answer = answer._replace(headers=(*answer.headers, *limit_headers))
        return answer

    async def _within_shares(self, endpoint: Endpoint, call: Call) -> Answer:
        """Read the body and call the handler. Meanwhile the request, and a long body, count towards
        what its key and its tenant may have in progress. Raises ShareTakenError, RateLimitedError,
        ClientGoneError."""
        payer = payer_of(call.subject)
        PAYER.set(payer)
        CHARGE.set(self._charge_thread_time)
        self._requests.take(payer)
        reserved_bytes = 0
        try:
            if not call.websocket:
                size = bytes_to_reserve(call.headers)
                self._long_bodies.take(payer, size)
                reserved_bytes = size
                # The bytes are charged before any of them is read: a flood that is refused may not
                # cost the event loop its bodies as well.
                charged = byte_cost(declared_bytes(call.headers))
                self._charge(payer, charged)
                body = await read_body(call.receive, call.headers)
                self._charge(payer, cost_of(body) - charged)
                call = call._replace(body=body)
            answering = endpoint.handler(self._plane, call)
            if endpoint.stops and len(call.body) > INSPECT_INLINE_BYTES_MAX:
                return await _unless_client_gone(asyncio.ensure_future(answering), call)
            return await answering
        finally:
            self._requests.give(payer)
            if reserved_bytes:
                self._long_bodies.give(payer, reserved_bytes)

    def _charge(self, payer: Payer, units: int) -> None:
        """Charge what a body costs. Raises RateLimitedError."""
        if units > 0:
            self._rates.charge(payer, units, time.monotonic_ns())

    def _charge_thread_time(self, payer: Payer, seconds: float) -> None:
        """Charge what the work of a request took in a thread."""
        self._rates.charge_time(payer, seconds, time.monotonic_ns())

    def _find(self, path: str) -> tuple[_Route | None, tuple[str, ...]]:
        route = self._exact.get(path)
        if route is not None:
            return route, ()
        segments = path.split("/")
        for candidate in self._patterns.get(_shape(segments), ()):
            params = []
            for expected, segment in zip(candidate.segments, segments, strict=True):
                if expected.startswith("{"):
                    params.append(segment)
                elif expected != segment:
                    break
            else:
                return candidate, tuple(params)
        return None, ()


async def _unless_client_gone(answering: "asyncio.Future[Answer]", call: Call) -> Answer:
    """The answer of a handler, which is cancelled when the client closes the connection. Raises
    ClientGoneError then."""
    disconnect = asyncio.ensure_future(call.gone())
    try:
        both: tuple[asyncio.Future[Any], ...] = (answering, disconnect)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGoneError
        return answering.result()
    finally:
        disconnect.cancel()
        if not answering.done():
            answering.cancel()
            await asyncio.wait({answering})


def _shape(segments: Sequence[str]) -> tuple[int, str]:
    """What all paths of a pattern have in common: number of segments, and name of the resource."""
    return len(segments), segments[3] if len(segments) > 3 else ""


def _require_single(headers: Headers) -> None:
    """Raises InvalidRequestError when a header that may be sent once was sent twice."""
    names = set()
    for name, _ in headers:
        if name in names:
            raise InvalidRequestError(f"the header `{name.decode('latin-1')}` is sent twice")
        if name in _SINGLE_HEADERS:
            names.add(name)


def _credential(headers: dict[bytes, bytes]) -> str | None:
    """The API key: a bearer token wins over X-API-Key; surrounding quotes are trimmed."""
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        return authorization[7:].decode("latin-1").strip()
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin-1").strip().strip("\"'")


def _require_tenant(subject: Subject, headers: dict[bytes, bytes]) -> None:
    for name in (b"x-tenant-id", b"x-cordum-tenant"):
        named = headers.get(name)
        if named and named.decode("latin-1") != subject.tenant:
            raise TenantAccessError(TENANT_ACCESS_DENIED)


def _query(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=QUERY_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as cause:
        raise InvalidRequestError("the query string cannot be read") from cause
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidRequestError("the query names a field twice")
    return query


def _refusal(error: ForestallError, route: _Route | None) -> Answer:
    headers = []
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.http_status == 503:
        retry_after_s = _RETRY_AFTER_S
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if isinstance(error, RateLimitedError):
        headers += error.headers
    if isinstance(error, MethodNotAllowedError) and route is not None:
        headers.append((b"allow", ", ".join(sorted(route.by_method)).encode()))
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.http_status == 426:
        headers += [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    return Answer(error.http_status, error_object(error), headers)


def _send_as_denial(send: Send) -> Send:
    """Send an HTTP answer as the refusal of a WebSocket handshake (ASGI, denial response)."""

    async def deny(message: dict[str, Any]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return deny


async def _send(send: Send, answer: Answer, request_id: str, *, head_only: bool) -> None:
    headers = [*FIXED_HEADERS, (b"x-request-id", request_id.encode()), *answer.headers]
    body = b""
    if answer.status != 204:  # a 204 has neither body nor length (RFC 9110, 8.6)
        value = answer.body
        if answer.status >= 400:
            value = msgspec.structs.replace(value, request_id=request_id)
        body = _ENCODER.encode(value)
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else body})
