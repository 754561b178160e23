"""Ask a running plane over HTTP. Light: standard library only, and nothing of the server.

Never follows a redirect (a key must not travel to another host) and never retries by itself.
"""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from forestall.errors import ForestallError, InvalidRequestError, UnavailableError

_ANSWER_BYTES_MAX = 64 * 1024 * 1024
_TIMEOUT_SECONDS = 30


class PlaneUnreachableError(UnavailableError):
    """The control plane does not answer, or what answers is not one."""

    code, http_status = "plane_unreachable", 503


class PlaneRefusedError(ForestallError):
    """The control plane answered with an error; `status` and `body` are what it said."""

    code, http_status = "plane_refused", 502

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status, self.body = status, dict(body)
        text = str(body.get("error") or f"the server answered {status}")
        super().__init__(text)


_PAGE_ITEMS = 500  # the server gives no more in one answer


class PlaneClient:
    """One control plane at one address, asked with one API key."""

    def __init__(self, url: str, api_key: str, *, tenant: str = "") -> None:
        for what, text in (("API key", api_key), ("tenant", tenant)):
            if not text.isascii() or not text.isprintable():
                raise InvalidRequestError(f"the {what} holds a character that cannot be sent")
        try:
            parts = urlsplit(url)
            self._scheme, host, self._port = parts.scheme, parts.hostname, parts.port
        except ValueError as cause:
            raise _not_an_address(url) from cause
        if self._scheme not in ("http", "https") or not host:
            raise _not_an_address(url)
        self._host = host
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"Accept": "application/json", "X-API-Key": api_key}
        if tenant:
            self._headers["X-Tenant-ID"] = tenant

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to a GET. Raises PlaneUnreachableError, PlaneRefusedError."""
        text = urlencode({key: value for key, value in (query or {}).items() if value})
        return self._ask("GET", f"{path}?{text}" if text else path, None, {})

    def items(self, path: str, query: Mapping[str, str], *, limit: int) -> list[Any]:
        """Up to `limit` items of a list, page by page. Raises as `get`."""
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
        """The JSON answer to a POST. Raises PlaneUnreachableError, PlaneRefusedError."""
        return self._ask("POST", path, json.dumps(body).encode(), headers or {})

    @contextlib.contextmanager
    def open(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET while it still comes, with pauses as long as any answer may take.

        Raises as `get` does, also while the answer is read inside the block.
        """
        text = urlencode({key: value for key, value in query.items() if value})
        connection = self._connection()
        try:
            target = f"{path}?{text}" if text else path
            connection.request("GET", target, headers={**self._headers, **headers})
            response = connection.getresponse()
            if response.status != 200:
                self._answer(response.status, response.read(_ANSWER_BYTES_MAX + 1))
                raise ValueError(f"status {response.status}")
            yield response
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise self._unreachable(cause) from cause
        finally:
            connection.close()

    def delete(self, path: str) -> None:
        """DELETE. Raises PlaneUnreachableError, PlaneRefusedError."""
        self._ask("DELETE", path, None, {})

    def _ask(self, method: str, path: str, body: bytes | None, extra: Mapping[str, str]) -> Any:
        headers = {**self._headers, **extra}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            data = response.read(_ANSWER_BYTES_MAX + 1)
            status = response.status
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise self._unreachable(cause) from cause
        finally:
            connection.close()
        return self._answer(status, data)

    def _unreachable(self, cause: Exception) -> PlaneUnreachableError:
        return PlaneUnreachableError(
            f"no answer from {self._url}: {cause}; is the server running there?"
        )

    def _connection(self) -> http.client.HTTPConnection:
        if self._scheme == "https":
            return http.client.HTTPSConnection(
                self._host,
                self._port,
                timeout=_TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)

    def _answer(self, status: int, data: bytes) -> Any:
        if status == 204:
            return None
        try:
            if len(data) > _ANSWER_BYTES_MAX:
                raise ValueError
            value = json.loads(data)
        except ValueError as cause:
            raise PlaneUnreachableError(
                f"what answers at {self._url} is not a Forestall server (status {status})"
            ) from cause
        if status >= 300:
            raise PlaneRefusedError(status, value if isinstance(value, dict) else {})
        return value


def _not_an_address(url: str) -> PlaneUnreachableError:
    return PlaneUnreachableError(f"`{url}` is not an address of a server; write http://host:port")
