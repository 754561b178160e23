"""Values of the HTTP client: requests, responses, and the error when there is no response.

Nothing here parses HTTP or touches the network.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

# RFC 9110, 9.2.2. POST and PATCH are missing: only the caller knows when those may repeat.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_RETRY_AFTER_DIGITS_MAX = 5  # a wait of more than a day is a mistake of the server


class NoAnswerError(Exception):
    """No response came, or none that can be read. The request may have been carried out or not.

    The message names no header, no body and no key. `__cause__` is an OSError (with TLS an
    ssl.SSLError) exactly when the connection failed.
    """

    def __init__(self, message: str, *, nothing_sent: bool = False, interim: int = 0) -> None:
        """`nothing_sent`: no byte of the request left, so it was not carried out and may be sent
        again.

        `interim`: the status of the last 1xx response; 0 without one.
        """
        super().__init__(message)
        self.nothing_sent = nothing_sent
        self.interim = interim


class HttpRequest(NamedTuple):
    """One request to the origin of a client."""

    method: str
    target: str  # path and query, beginning with `/`
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    may_repeat: bool | None = None  # sending it twice does what once does; None: by its method

    @property
    def repeatable(self) -> bool:
        """Whether sending the request twice has the effect of sending it once."""
        return self.method in _REPEATABLE if self.may_repeat is None else self.may_repeat


class HttpResponse(NamedTuple):
    """One whole response."""

    status: int
    headers: Mapping[str, str]  # names in lower case; fields of one name are joined with `, `
    body: bytes

    def value(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one when the body is anything else."""
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def code(self) -> str:
        """The error code of a refusal; empty when the response has none."""
        return str(self.value().get("code", ""))

    @property
    def retry_after_s(self) -> float:
        """Seconds that the server asks the client to wait (RFC 9110, 10.2.3); 0 when it does not
        ask.

        A date is relative to the server's own `Date`, so that the two clocks need not agree.
        """
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text) if len(text) <= _RETRY_AFTER_DIGITS_MAX else 0.0
        seconds = _http_date(text) - _http_date(self.headers.get("date", ""))
        return seconds if 0 < seconds < 10.0**_RETRY_AFTER_DIGITS_MAX else 0.0


class Timeouts(NamedTuple):
    """Bounds on the time of a request, in seconds."""

    connect: float = 10.0  # for each: a TCP connection, a TLS handshake, a proxy's answer
    idle: float = 30.0  # between two pieces that arrive or leave
    whole: float | None = 600.0  # from the call to the last byte, with retries; None: no bound


DEFAULT_TIMEOUTS = Timeouts()


def _http_date(text: str) -> float:
    """Seconds since the epoch of an IMF-fixdate; not a number for any other text."""
    from datetime import UTC, datetime

    try:
        moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007 - set below
        return moment.replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("nan")
