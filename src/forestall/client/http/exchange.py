"""One HTTP/1.1 request and its response, as bytes (RFC 9112). No socket and no clock lives here.

h11 reads and writes the grammar. This file adds bounds on everything that grows, and refuses every
response whose length two readers could read differently. A refusal raises NoAnswerError; the
server's bytes cause no other exception.
"""

from collections.abc import Mapping

import h11

from forestall.client.http.message import NoAnswerError
from forestall.errors import InvalidRequestError
from forestall.limits import HEAD_BYTES_MAX

# Bytes given to the parser at once. Small, because the rest is counted after each event.
_PIECE_BYTES = 16 * 1024
# Headers that the client writes itself. Duplicates would let two readers of the request disagree.
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"}
)
_WITHOUT_BODY = (204, 304)


class Exchange:
    """One request as bytes to send, and the meaning of the bytes that come back.

    `status` is 0 until the head of the response is whole. `done`: the response is whole.
    `reusable`: the connection may carry another exchange afterwards.
    """

    def __init__(
        self,
        method: str,
        target: str,
        host: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        body_bytes_max: int | None,
        keep: bool = True,
        until_close: bool = False,
        head_bytes_max: int = HEAD_BYTES_MAX,
    ) -> None:
        """`body_bytes_max`: of the response; None bounds nothing, for a stream read piece by piece.

        `keep`: ask the server to keep the connection. `until_close`: take a response without a
        length, which ends where the server closes, and which nobody can tell from one that was cut
        off. `head_bytes_max`: the most bytes in a row that are not of the response's body: heads
        with the 1xx responses before them, the head of a chunk, trailers. Raises
        InvalidRequestError when the request cannot be sent as it is.
        """
        self.status, self.headers = 0, dict[str, str]()
        self.interim = 0  # status of the last 1xx response
        self.begun = self.done = self.reusable = False
        self._method = method
        self._body_bytes_max, self._until_close = body_bytes_max, until_close
        self._head_bytes_max = head_bytes_max
        self._body_bytes = 0
        self._framing_bytes = 0  # received since the last byte of a body, or not yet parsed
        # The parser's own bound lies above ours: ours does not depend on how the bytes arrive.
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * head_bytes_max)
        self.request_bytes = self._encode(target, host, headers, body, keep)

    def _encode(
        self, target: str, host: str, headers: Mapping[str, str], body: bytes | None, keep: bool
    ) -> bytes:
        fields = [("Host", host)]
        for name, value in headers.items():
            if name.lower() in _OURS:
                raise InvalidRequestError(f"the header {name} is written by the client itself")
            fields.append((name, value))
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        if not keep:
            fields.append(("Connection", "close"))
        parser = self._parser
        try:
            head = parser.send(h11.Request(method=self._method, target=target, headers=fields))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # `from None`: the cause shows the value, which may be a key.
            raise InvalidRequestError(
                "the request holds a character that cannot be sent, in its method, path or headers"
            ) from None
        if body:
            head += parser.send(h11.Data(data=body)) or b""
        return (head or b"") + (parser.send(h11.EndOfMessage()) or b"")

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the server (b"" when it closed), and return the part of the body in them.

        Raises NoAnswerError; the caller must then close the connection.
        """
        if not data:
            return self._closed()
        body = bytearray()
        for start in range(0, len(data), _PIECE_BYTES):
            body += self._take(data[start : start + _PIECE_BYTES])
        return bytes(body)

    def _take(self, piece: bytes) -> bytes:
        if self.done:
            self.reusable = False  # the server sent bytes without a request
            return b""
        self.begun = True
        self._framing_bytes += len(piece)
        self._parser.receive_data(piece)
        return self._events()

    def _closed(self) -> bytes:
        self.reusable = False
        if self.done:
            return b""
        self._parser.receive_data(b"")
        try:
            body = self._events()
        except NoAnswerError as error:
            cut = "; the answer was cut off" if self.begun else ""
            message = f"the connection was closed{cut}"
            raise NoAnswerError(message, interim=self.interim) from error.__cause__
        self.reusable = False  # the server closed the connection after its response
        return body

    def _events(self) -> bytes:
        body = bytearray()
        while not self.done:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as cause:
                raise self._unreadable("what answers there is not HTTP/1.1") from cause
            if event is h11.NEED_DATA:
                self._bound_framing(0)
                break
            if isinstance(event, h11.InformationalResponse):
                self.interim = event.status_code
            elif isinstance(event, h11.Response):
                self._settle_framing()
                self._head(event)
            elif isinstance(event, h11.Data):
                self._framing_bytes -= len(event.data)
                self._settle_framing()
                self._body_bytes += len(event.data)
                self._bound_body(self._body_bytes)
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                bytes_left = self._settle_framing()
                states = (self._parser.our_state, self._parser.their_state)
                self.done = True
                self.reusable = not bytes_left and states == (h11.DONE, h11.DONE)
            else:
                raise self._unreadable("the server closed, or left HTTP")
        return bytes(body)

    def _head(self, event: h11.Response) -> None:
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if event.http_version not in (b"1.0", b"1.1") or event.status_code > 599:
            raise self._unreadable("what answers there is not HTTP/1.1")
        # RFC 9112, 6.1 and 6.3: both headers, or a coding under HTTP/1.0, allow response smuggling.
        if coding is not None and (length is not None or event.http_version == b"1.0"):
            raise self._unreadable("the answer gives its length in two ways")
        self.status, self.headers = event.status_code, headers
        if self._method == "CONNECT" and event.status_code < 300:
            self.done = True  # a tunnel begins; bytes after the head belong to it
            self.reusable = not self._parser.trailing_data[0]
        elif self._method == "HEAD" or event.status_code in _WITHOUT_BODY or coding is not None:
            return
        elif length is not None:
            self._bound_body(int(length))
        elif not self._until_close:
            raise self._unreadable("the answer has no length")

    def _settle_framing(self) -> int:
        """Bound the framing bytes up to this event; returns how many bytes are left after it."""
        bytes_left = len(self._parser.trailing_data[0])
        self._bound_framing(bytes_left)
        self._framing_bytes = bytes_left
        return bytes_left

    def _bound_framing(self, bytes_left: int) -> None:
        if self._framing_bytes - bytes_left > self._head_bytes_max:
            raise self._unreadable("the head of the answer is too long")

    def _bound_body(self, size: int) -> None:
        if self._body_bytes_max is not None and size > self._body_bytes_max:
            raise self._unreadable("the answer is too long")

    def _unreadable(self, message: str) -> NoAnswerError:
        return NoAnswerError(message, interim=self.interim)
