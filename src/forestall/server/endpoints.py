"""The table of the API, and what a handler sees and gives. Routes nothing, and checks nothing."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission
from forestall.limits import DECODE_INLINE_BYTES_MAX
from forestall.wire.strict_json import decode_struct

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
FIXED_HEADERS: Headers = (  # of every answer
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class StreamingBody:
    """The body of an answer without a known end: it alone writes to the connection, from the first
    header to the end."""

    @abstractmethod
    async def run(
        self, scope: dict[str, Any], receive: Receive, send: Send, headers: Headers
    ) -> None:
        """Send the whole answer: its start with these headers, its body and its end."""


class Answer(NamedTuple):
    """The answer of a handler."""

    status: int
    # a WireObject, a list of them, or a StreamingBody; from 400 on it has a field `request_id`
    body: Any
    headers: Headers = ()  # beside those that every answer carries


class BodyReader(Protocol):
    """Reads bodies beside the event loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work`, and return or raise what it does. Raises ShareTakenError."""
        ...


class Call(NamedTuple):
    """One request, as a handler sees it."""

    subject: Subject | None  # None at a public endpoint only
    params: tuple[str, ...]  # the segments that stand for `{name}`, in order
    query: dict[str, str]
    headers: dict[bytes, bytes]  # names in lower case
    body: bytes
    receive: Receive
    websocket: bool = False
    key_in_subprotocol: bool = False  # a page must set it itself; a browser or proxy adds headers
    decoding: BodyReader | None = None  # threads to read a long body in; None: it is read at once

    async def gone(self) -> None:
        """Return when the client closes the connection. For handlers that wait."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def decoded(self, decode: Callable[[bytes], T]) -> T:
        """What `decode` makes of the body; of a long body in a thread, so that nobody else waits.

        Raises what `decode` raises, and ShareTakenError.
        """
        if len(self.body) <= DECODE_INLINE_BYTES_MAX or self.decoding is None:
            return decode(self.body)
        return await self.decoding.run(lambda: decode(self.body))

    async def decoded_as(self, kind: type[S]) -> S:
        """The body as a Struct of the wire. Raises as `decode_struct` and `decoded` do."""
        return await self.decoded(lambda body: decode_struct(body, kind))

    @property
    def who(self) -> Subject:
        """The subject of an endpoint that needs a permission."""
        assert self.subject is not None, "this endpoint is declared public"
        return self.subject

    def header(self, name: bytes) -> str:
        """A header as text; empty when absent."""
        return self.headers.get(name, b"").decode("latin-1")


Handler = Callable[[Plane, Call], Awaitable[Answer]]


class Endpoint(NamedTuple):
    """One row of the API: documentation, authorization matrix and routing come from it."""

    method: str
    path: str  # `{name}` stands for one segment
    permission: Permission | None  # None: public, needs no credential
    handler: Handler
    summary: str
    responses: Mapping[int, Any]  # by status, the type of the body; None: no body
    request: type[msgspec.Struct] | None = None
    query: tuple[str, ...] = ()  # the fields of the query string that mean something
    streams: bool = False  # the answer is a stream of events, each with such a body
    stops: bool = False  # the answer is all that it gives, so it ends when the client has gone


class EndpointTable(list[Endpoint]):
    """Endpoints, in the order in which their handlers stand."""

    def row(
        self,
        method: str,
        path: str,
        permission: Permission | None,
        responses: Mapping[int, Any],
        request: type[msgspec.Struct] | None = None,
        *,
        query: tuple[str, ...] = (),
        streams: bool = False,
        stops: bool = False,
        summary: str = "",
    ) -> Callable[[Handler], Handler]:
        """Enter the decorated handler under these fields of `Endpoint`; its summary is the first
        line of its docstring, unless another is given."""

        def enter(handler: Handler) -> Handler:
            text = summary or (handler.__doc__ or "").partition("\n")[0].removesuffix(".")
            endpoint = Endpoint(
                method, path, permission, handler, text, responses, request, query, streams, stops
            )
            self.append(endpoint)
            return handler

        return enter
