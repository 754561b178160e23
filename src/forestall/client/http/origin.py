"""The origin of a URL: scheme, host and port. Strict: an ambiguous URL is refused."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?")
_NAME_CHARS_MAX = 253


class HttpOrigin(NamedTuple):
    """A server, identified as in RFC 6454."""

    scheme: str  # http or https
    host: str  # a name in ASCII, or an address without brackets
    port: int

    @property
    def authority(self) -> str:
        """The value of `Host`: without the port where the port is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_origin(url: str) -> HttpOrigin:
    """The origin of a URL; its path, query and user name are left out. Raises ValueError."""
    parts = urlsplit(url)  # raises ValueError for a broken IPv6 address
    host = parts.hostname or ""
    if parts.scheme not in DEFAULT_PORTS or any(ord(char) <= 32 for char in url):
        raise ValueError("not an http or https URL")
    place = parts.netloc.rpartition("@")[2]
    if place.startswith("[") and place.partition("]")[2][:1] not in ("", ":"):
        raise ValueError("something stands between an address and its port")
    if not host.isascii():
        host = host.encode("idna").decode()  # raises UnicodeError, which is a ValueError
    pattern = _IPV6 if ":" in host else _NAME
    if len(host) > _NAME_CHARS_MAX or not pattern.fullmatch(host):
        raise ValueError("not the name or the address of a host")
    port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError("not a port")
    return HttpOrigin(parts.scheme, host, port)
