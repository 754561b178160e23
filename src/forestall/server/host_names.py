"""Check by which name a request addresses this server, and from which page it comes.

A browser runs pages of others beside this server. A page whose own name is made to lead to this
machine (DNS rebinding) could read and write as if it were ours, but `Host` then holds its name.
Refuses names that are not ours; authenticates nobody.
"""

import ipaddress
import re
from collections.abc import Collection

from forestall.errors import ForbiddenError

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_ORIGIN = re.compile(rf"https?://(?P<authority>{_HOST.pattern})")
_ACCEPTED_MAX = 64  # values of `Host` that are kept; a client may vary the port and the case
_READING = frozenset({"GET", "HEAD"})


class HostDeniedError(ForbiddenError):
    """The request addresses this server by a name that is not one of its own."""

    code, http_status = "host_denied", 403


class OriginDeniedError(ForbiddenError):
    """A page of another site wants to change something here, or to open a stream."""

    code, http_status = "origin_denied", 403


def is_same_site(origin: bytes, host: bytes) -> bool:
    """Whether a page of this origin was read under the name and port by which the request addresses
    this server."""
    match = _ORIGIN.fullmatch(origin.decode("latin-1"))
    return match is not None and match["authority"].lower() == host.decode("latin-1").lower()


class HostNames:
    """The names of one server. On a loopback address that is this machine and `public_names`; on
    another address `public_names` alone, and any name where there are none."""

    def __init__(self, public_names: Collection[str] = (), *, is_loopback: bool = False) -> None:
        self._names = frozenset(name.lower() for name in public_names)
        self._takes_any_name = not is_loopback and not public_names
        self._accepted: set[bytes] = set()

    def require(self, method: str, host: bytes | None, origin: bytes | None) -> None:
        """Raise HostDeniedError for a name that is not ours. Raise OriginDeniedError where a page
        of another site does more than read."""
        if host is not None and not self._takes_any_name and host not in self._accepted:
            self._require_host(host)
        if origin is not None and method not in _READING:
            self._require_origin(origin, host or b"")

    def _require_host(self, host: bytes) -> None:
        match = _HOST.fullmatch(host.decode("latin-1"))
        if match is None or not self._is_ours(match["name"]):
            raise HostDeniedError(
                f"this server has no name `{host[:80].decode('latin-1')}`; if it has, list the name"
                " under the setting `public_names` (--public-names) and start again"
            )
        if len(self._accepted) < _ACCEPTED_MAX:
            self._accepted.add(host)

    def _is_ours(self, name: str) -> bool:
        name = name.lower().removesuffix(".")
        if name == "localhost" or name in self._names:
            return True
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return False

    def _require_origin(self, origin: bytes, host: bytes) -> None:
        if is_same_site(origin, host):
            return
        match = _ORIGIN.fullmatch(origin.decode("latin-1"))
        if match is None or match["name"].lower() not in self._names:
            raise OriginDeniedError(
                "a page of another site may change nothing here; a page of your own has to be under"
                " a name that the setting `public_names` lists"
            )
