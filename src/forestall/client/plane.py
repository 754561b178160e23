"""A client of a running plane. Light: it loads nothing of the server, and HTTP only when it is
used.

It never follows a redirect (a key must not travel to another host) and never retries by
itself.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from forestall.client.http.message import HttpRequest, NoAnswerError, Timeouts
from forestall.client.http.origin import parse_origin
from forestall.errors import ForestallError, InvalidRequestError, UnavailableError
from forestall.limits import HTTP_RESPONSE_BYTES_MAX

if TYPE_CHECKING:
    from forestall.client.http.blocking import HttpClient, HttpStream

_TIMEOUTS = Timeouts(connect=30, idle=30, whole=600)


class PlaneUnreachableError(UnavailableError):
    """No answer came, or the answer is not one of a control plane."""

    code, http_status = "plane_unreachable", 503


class PlaneRefusedError(ForestallError):
    """The control plane answered with an error; `status` and `body` are those of its response."""

    code, http_status = "plane_refused", 502

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status, self.body = status, dict(body)
        text = str(body.get("error") or f"the server answered {status}")
        super().__init__(text)


_PAGE_ITEMS = 500  # the most items that the server gives in one page


class PlaneClient:
    """A client of one control plane with one API key. Not asynchronous; close it after use."""

    def __init__(self, url: str, api_key: str, *, tenant: str = "") -> None:
        for what, text in (("API key", api_key), ("tenant", tenant)):
            if not text.isascii() or not text.isprintable():
                raise InvalidRequestError(f"the {what} holds a character that cannot be sent")
        try:
            self._origin = parse_origin(url)
        except ValueError as cause:
            message = f"`{url}` is not an address of a server; write http://host:port"
            raise PlaneUnreachableError(message) from cause
        self._http: HttpClient | None = None
        self._headers = {"Accept": "application/json", "X-API-Key": api_key}
        if tenant:
            self._headers["X-Tenant-ID"] = tenant

    def close(self) -> None:
        """Close the idle connections."""
        if self._http is not None:
            self._http.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON body of a response to GET. Raises PlaneUnreachableError, PlaneRefusedError."""
        return self._ask("GET", _with_query(path, query or {}), None, {})

    def items(self, path: str, query: Mapping[str, str], *, limit: int) -> list[Any]:
        """Up to `limit` items of a list, read page by page. Raises as `get` does."""
        items: list[Any] = []
        cursor = ""
        while len(items) < limit:
            size = min(_PAGE_ITEMS, limit - len(items))
            page = self.get(path, {**query, "cursor": cursor, "limit": str(size)})
            items.extend(page["items"])
            cursor = page["next_cursor"]
            if not cursor:
                break
        return items[:limit]

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON body of a response to POST. Raises PlaneUnreachableError, PlaneRefusedError."""
        return self._ask("POST", path, json.dumps(body).encode(), headers or {})

    @contextlib.contextmanager
    def open(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Iterator[HttpStream]:
        """The response to a GET while it still arrives, for streams.

        Pauses may be as long as any response may take. Raises as `get` does, also inside the block.
        """
        request = HttpRequest("GET", _with_query(path, query), headers)
        try:
            with self._client().open(request) as stream:
                if stream.status != 200:
                    self._answer(stream.status, stream.read_all(HTTP_RESPONSE_BYTES_MAX))
                    raise self._unreachable(f"status {stream.status}")
                yield stream
        except NoAnswerError as cause:
            raise self._unreachable(cause) from cause

    def put(self, path: str, body: Any) -> Any:
        """The JSON body of the response to a PUT. Raises PlaneUnreachableError,
        PlaneRefusedError."""
        return self._ask("PUT", path, json.dumps(body).encode(), {})

    def delete(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Delete a resource; the JSON body of the response, None where it has none. Raises
        PlaneUnreachableError, PlaneRefusedError."""
        text = urlencode(query or {})
        return self._ask("DELETE", f"{path}?{text}" if text else path, None, {})

    def _ask(self, method: str, path: str, body: bytes | None, extra: Mapping[str, str]) -> Any:
        headers = dict(extra)
        if body is not None:
            headers["Content-Type"] = "application/json"
        # A DELETE must not repeat: the second response would say that the resource does not exist.
        request = HttpRequest(method, path, headers, body, may_repeat=method == "GET")
        try:
            response = self._client().request(request, body_bytes_max=HTTP_RESPONSE_BYTES_MAX)
        except NoAnswerError as cause:
            raise self._unreachable(cause) from cause
        return self._answer(response.status, response.body)

    def _unreachable(self, cause: object) -> PlaneUnreachableError:
        return PlaneUnreachableError(
            f"no answer from {self._origin}: {cause}; is the server running there?"
        )

    def _client(self) -> HttpClient:
        if self._http is None:
            from forestall.client.http.blocking import HttpClient
            from forestall.client.http.proxy import proxies_from_environment

            self._http = HttpClient(
                self._origin,
                headers=self._headers,
                proxies=proxies_from_environment(os.environ),
                timeouts=_TIMEOUTS,
            )
        return self._http

    def _answer(self, status: int, data: bytes) -> Any:
        if status == 204:
            return None
        try:
            if len(data) > HTTP_RESPONSE_BYTES_MAX:
                raise ValueError
            value = json.loads(data)
        except ValueError as cause:
            raise PlaneUnreachableError(
                f"what answers at {self._origin} is not a Forestall server (status {status})"
            ) from cause
        if status >= 300:
            raise PlaneRefusedError(status, value if isinstance(value, dict) else {})
        return value


def _with_query(path: str, query: Mapping[str, str]) -> str:
    """The path with the parameters that are not empty."""
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{text}" if text else path
